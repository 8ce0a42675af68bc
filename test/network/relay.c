/*
 * relay.c
 *	The only way between two network namespaces, and all that can happen to packets
 *	on it: they are delayed, lost, damaged, doubled, put out of order, kept to a
 *	rate, swallowed for their size; connections are forgotten, as by a firewall;
 *	one direction or both are dark.
 *
 *	relay LOCAL REMOTE USER, as root: each a process in one of the namespaces.
 *	There it makes a TUN device with an address, says "ready", and goes on as the
 *	user.  It reads commands, a line each, and answers each with a line; when there
 *	is nothing more to read it ends, and the devices with it.
 *
 *	delay MS JITTER		each packet is late by that, and at random up to JITTER more;
 *						they stay in order
 *	lose PERCENT, damage PERCENT, double PERCENT, disorder PERCENT
 *	rate BYTES			per second and direction; what has to wait too long is lost
 *	swallow SIZE		packets larger than that, without a word
 *	dark up|down|both	nothing gets through; "up" is from the local side
 *	forget drop|reset	all connections that there are: what comes of them is
 *						dropped, or answered by a reset
 *	clear				none of this for what comes from now on; what was forgotten
 *						stays forgotten
 *	counts				how many packets were passed, and how many each fault has hit
 */

#define _GNU_SOURCE

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pwd.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define LARGEST 65536
#define MOST_FLOWS 4096
#define MOST_LATE 20000		/* packets that wait */
#define LONGEST_WAIT 500000 /* us that a packet waits for others, at a rate */
#define OUT_OF_ORDER 30000	/* us that a packet is later than others */

enum
{
	UP,
	DOWN
};

typedef struct Packet
{
	struct Packet *next;
	int64_t due; /* us */
	int to;		 /* whose device: UP is to the remote */
	size_t length;
	unsigned char data[];
} Packet;

/* What is to happen; all zero: nothing. */
typedef struct Faults
{
	double lose;
	double damage;
	double twice;
	double disorder;
	int64_t delay; /* us */
	int64_t jitter;
	int64_t rate; /* bytes per second */
	size_t swallow;
	bool dark[2];
} Faults;

static Faults faults;
static bool answer_unknown; /* by a reset; else drop */
static int device[2];		/* [UP] leads to the remote */
static Packet *late;		/* in the order of their time */
static int nlate;
static int64_t busy_until[2];
static int64_t last_due[2];
static uint32_t flows[MOST_FLOWS]; /* both ports of connections that began here */
static int nflows;
static uint64_t state = 88172645463325252u;

static struct
{
	long passed, lost, damaged, doubled, disordered, crowded, swallowed, dark,
		forgotten, reset;
} count;

static void
fail(const char *what)
{
	printf("%s: %s\n", what, strerror(errno));
	exit(1);
}

static int64_t
now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* At random, from 0 to less than 1 */
static double
chance(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (double) (state >> 11) / 9007199254740992.0;
}

static bool
hits(double percent)
{
	return percent > 0 && chance() * 100 < percent;
}

/*
 * Devices
 */

static void
enter_namespace(const char *pid)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%s/ns/net", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET) < 0)
		fail("cannot enter the network namespace");
	close(fd);
}

static void
set_up(int fd, struct ifreq *request)
{
	if (ioctl(fd, SIOCGIFFLAGS, request) < 0)
		fail("cannot read the flags of a device");
	request->ifr_flags |= IFF_UP | IFF_RUNNING;
	if (ioctl(fd, SIOCSIFFLAGS, request) < 0)
		fail("cannot set up a device");
}

static void
set_address(int fd, struct ifreq *request, unsigned long what,
			const char *address)
{
	struct sockaddr_in in = {.sin_family = AF_INET};

	inet_pton(AF_INET, address, &in.sin_addr);
	memcpy(&request->ifr_addr, &in, sizeof(in));
	if (ioctl(fd, what, request) < 0)
		fail("cannot set the address of a device");
}

/* A TUN device in the namespace of that process, and the loopback one set up */
static int
open_device(const char *pid, const char *address)
{
	struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
	struct ifreq loopback = {.ifr_name = "lo"};
	int tun;
	int fd;

	enter_namespace(pid);
	tun = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (tun < 0)
		fail("cannot open /dev/net/tun");
	strcpy(request.ifr_name, "far0");
	if (ioctl(tun, TUNSETIFF, &request) < 0)
		fail("cannot make a TUN device");
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		fail("cannot make a socket");
	set_address(fd, &request, SIOCSIFADDR, address);
	set_address(fd, &request, SIOCSIFNETMASK, "255.255.255.0");
	set_up(fd, &request);
	set_up(fd, &loopback);
	close(fd);
	return tun;
}

static void
become(const char *name)
{
	struct passwd *user = getpwnam(name);

	if (user == NULL || setgroups(0, NULL) < 0 || setgid(user->pw_gid) < 0 ||
		setuid(user->pw_uid) < 0)
		fail("cannot become the other user");
}

/*
 * Connections
 */

/* The TCP header of a packet, or NULL; all that is read of it is there */
static struct tcphdr *
tcp_of(unsigned char *data, size_t length)
{
	struct iphdr *ip = (struct iphdr *) data;

	if (length < sizeof(*ip) || ip->version != 4 || ip->protocol != IPPROTO_TCP ||
		length < ip->ihl * 4 + sizeof(struct tcphdr))
		return NULL;
	return (struct tcphdr *) (data + ip->ihl * 4);
}

/* Has its connection begun here, or does it begin with this packet? */
static bool
is_known(const struct tcphdr *tcp, int to)
{
	uint16_t local = to == UP ? tcp->source : tcp->dest;
	uint16_t remote = to == UP ? tcp->dest : tcp->source;
	uint32_t flow = (uint32_t) local << 16 | remote;

	for (int i = 0; i < nflows; i++)
	{
		if (flows[i] == flow)
			return true;
	}
	if (!tcp->syn || tcp->ack)
		return false;

	/* Where there are too many the oldest ones are over. */
	if (nflows == MOST_FLOWS)
		memmove(flows, flows + 1, --nflows * sizeof(flows[0]));
	flows[nflows++] = flow;
	return true;
}

static uint32_t
sum(const void *data, size_t length, uint32_t so_far)
{
	const unsigned char *bytes = data;

	for (size_t i = 0; i < length; i++)
		so_far += i % 2 ? bytes[i] : (uint32_t) bytes[i] << 8;
	return so_far;
}

static uint16_t
checksum(uint32_t so_far)
{
	while (so_far >> 16)
		so_far = (so_far & 0xffff) + (so_far >> 16);
	return htons((uint16_t) ~so_far);
}

static void
put(int to, const unsigned char *data, size_t length)
{
	/* A device that takes no more loses packets, as any does. */
	if (write(device[to], data, length) < 0 && errno != EAGAIN &&
		errno != ENOBUFS)
		fail("cannot write to a device");
}

/* Answer a packet that went there by a reset */
static void
send_reset(unsigned char *data, size_t length, int to)
{
	struct iphdr *ip = (struct iphdr *) data;
	struct tcphdr *tcp = tcp_of(data, length);
	size_t payload = length - ip->ihl * 4 - tcp->doff * 4;
	struct
	{
		struct iphdr ip;
		struct tcphdr tcp;
	} answer = {0};

	if (tcp->rst)
		return;
	answer.ip.version = 4;
	answer.ip.ihl = sizeof(answer.ip) / 4;
	answer.ip.tot_len = htons(sizeof(answer));
	answer.ip.ttl = 64;
	answer.ip.protocol = IPPROTO_TCP;
	answer.ip.saddr = ip->daddr;
	answer.ip.daddr = ip->saddr;
	answer.ip.check = checksum(sum(&answer.ip, sizeof(answer.ip), 0));
	answer.tcp.source = tcp->dest;
	answer.tcp.dest = tcp->source;
	answer.tcp.doff = sizeof(answer.tcp) / 4;
	answer.tcp.rst = 1;
	if (tcp->ack)
		answer.tcp.seq = tcp->ack_seq;
	else
	{
		answer.tcp.ack = 1;
		answer.tcp.ack_seq =
			htonl(ntohl(tcp->seq) + payload + tcp->syn + tcp->fin);
	}
	answer.tcp.check = checksum(
		sum(&answer.tcp, sizeof(answer.tcp),
			sum(&answer.ip.saddr, 8, IPPROTO_TCP + sizeof(answer.tcp))));
	put(!to, (unsigned char *) &answer, sizeof(answer));
	count.reset++;
}

/*
 * Packets
 */

static void
deliver(void)
{
	while (late != NULL && late->due <= now_us())
	{
		Packet *packet = late;

		late = packet->next;
		nlate--;
		put(packet->to, packet->data, packet->length);
		count.passed++;
		free(packet);
	}
}

static void
send_at(int64_t due, int to, const unsigned char *data, size_t length)
{
	Packet *packet;
	Packet **place = &late;

	if (nlate == MOST_LATE)
	{
		count.crowded++;
		return;
	}
	packet = malloc(sizeof(*packet) + length);
	if (packet == NULL)
		fail("malloc");
	packet->due = due;
	packet->to = to;
	packet->length = length;
	memcpy(packet->data, data, length);
	while (*place != NULL && (*place)->due <= due)
		place = &(*place)->next;
	packet->next = *place;
	*place = packet;
	nlate++;
}

/* Is that the end of it?  Counts why. */
static bool
is_dropped(unsigned char *data, size_t length, int to)
{
	struct tcphdr *tcp = tcp_of(data, length);

	if (tcp == NULL)
		return true; /* nobody asked for anything else than TCP */
	if (faults.dark[to])
		return ++count.dark;
	if (!is_known(tcp, to))
	{
		if (answer_unknown)
			send_reset(data, length, to);
		return ++count.forgotten;
	}
	if (faults.swallow > 0 && length > faults.swallow)
		return ++count.swallowed;
	return hits(faults.lose) && ++count.lost;
}

/* One packet, which came from the other side of "to" */
static void
take(unsigned char *data, size_t length, int to)
{
	int64_t now = now_us();
	int64_t due = now + faults.delay + (int64_t) (chance() * faults.jitter);

	if (is_dropped(data, length, to))
		return;
	if (faults.rate > 0)
	{
		int64_t begin = busy_until[to] > now ? busy_until[to] : now;

		if (begin - now > LONGEST_WAIT)
		{
			count.crowded++;
			return;
		}
		busy_until[to] = begin + (int64_t) length * 1000000 / faults.rate;
		due += busy_until[to] - now;
	}
	if (hits(faults.damage))
	{
		/* In TCP's part, whose checksum finds it. */
		size_t at =
			sizeof(struct iphdr) + chance() * (length - sizeof(struct iphdr));

		data[at] ^= 1 << (int) (chance() * 8);
		count.damaged++;
	}
	if (hits(faults.disorder))
	{
		due += OUT_OF_ORDER;
		count.disordered++;
	}
	else
	{
		if (due < last_due[to])
			due = last_due[to];
		last_due[to] = due;
	}
	send_at(due, to, data, length);
	if (hits(faults.twice))
	{
		count.doubled++;
		send_at(due, to, data, length);
	}
}

static void
take_all(int from)
{
	unsigned char data[LARGEST];
	ssize_t length;

	while ((length = read(device[from], data, sizeof(data))) > 0)
		take(data, length, !from);
	if (length < 0 && errno != EAGAIN)
		fail("cannot read from a device");
}

/*
 * Commands
 */

static bool
obey(const char *command)
{
	double number = 0;
	long second = 0;
	char word[16] = "";
	char argument[16] = "";

	sscanf(command, "%15s %15s %ld", word, argument, &second);
	number = atof(argument);
	if (strcmp(word, "lose") == 0)
		faults.lose = number;
	else if (strcmp(word, "damage") == 0)
		faults.damage = number;
	else if (strcmp(word, "double") == 0)
		faults.twice = number;
	else if (strcmp(word, "disorder") == 0)
		faults.disorder = number;
	else if (strcmp(word, "delay") == 0)
	{
		faults.delay = number * 1000;
		faults.jitter = second * 1000;
	}
	else if (strcmp(word, "rate") == 0)
		faults.rate = number;
	else if (strcmp(word, "swallow") == 0)
		faults.swallow = number;
	else if (strcmp(word, "dark") == 0)
	{
		faults.dark[UP] = strcmp(argument, "down") != 0;
		faults.dark[DOWN] = strcmp(argument, "up") != 0;
	}
	else if (strcmp(word, "forget") == 0)
	{
		nflows = 0;
		answer_unknown = strcmp(argument, "reset") == 0;
	}
	else if (strcmp(word, "seed") == 0)
		state = 88172645463325252u ^ (uint64_t) number;
	else if (strcmp(word, "clear") == 0)
		memset(&faults, 0, sizeof(faults));
	else
		return strcmp(word, "counts") == 0;
	return true;
}

/* What there is to read; false if there will never be more */
static bool
read_commands(void)
{
	static char line[256];
	static size_t length;
	ssize_t n = read(STDIN_FILENO, line + length, sizeof(line) - length - 1);
	char *end;

	if (n <= 0)
		return false;
	length += n;
	line[length] = '\0';
	while ((end = strchr(line, '\n')) != NULL)
	{
		*end = '\0';
		printf("%s passed=%ld lost=%ld damaged=%ld doubled=%ld disordered=%ld crowded=%ld"
			   " swallowed=%ld dark=%ld forgotten=%ld reset=%ld\n",
			   obey(line) ? "done" : "unknown", count.passed, count.lost,
			   count.damaged, count.doubled, count.disordered, count.crowded,
			   count.swallowed, count.dark, count.forgotten, count.reset);
		length -= end + 1 - line;
		memmove(line, end + 1, length + 1);
	}
	return true;
}

int
main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc != 4)
	{
		puts("usage: relay LOCAL REMOTE USER");
		return 1;
	}
	device[DOWN] = open_device(argv[1], "192.0.2.1");
	device[UP] = open_device(argv[2], "192.0.2.2");
	become(argv[3]);
	puts("ready");

	for (;;)
	{
		struct pollfd fds[] = {{.fd = STDIN_FILENO, .events = POLLIN},
							   {.fd = device[UP], .events = POLLIN},
							   {.fd = device[DOWN], .events = POLLIN}};
		int64_t wait = late == NULL ? 1000000 : late->due - now_us();
		struct timespec timeout = {.tv_nsec = 1000};

		if (wait > 0)
		{
			timeout.tv_sec = wait / 1000000;
			timeout.tv_nsec = wait % 1000000 * 1000;
		}
		if (ppoll(fds, 3, &timeout, NULL) < 0 && errno != EINTR)
			fail("ppoll");
		if (fds[0].revents && !read_commands())
			return 0;
		take_all(UP);
		take_all(DOWN);
		deliver();
	}
}

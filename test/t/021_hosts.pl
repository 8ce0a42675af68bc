# 021_hosts.pl
#	Several hosts, several addresses of a name, names that cannot be looked up
#	and hosts that do not answer: they cost their own pool no more than
#	connect_timeout, and other pools nothing.
#
#	The local server's getaddrinfo() is replaced (names.c): it reads the addresses
#	of a name from a file in $names, and hangs while there is no such file.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::Listener;
use PostgreSQL::Test::Utils;
use Test::More;

my $names = PostgreSQL::Test::Utils::tempdir;
my $library = "$names/names.so";
system_or_bail('cc', '-shared', '-fPIC', '-o', $library, "$FindBin::RealBin/names.c", '-ldl');

my $remote = start_remote();
my $port = $remote->port;
my $local;
{
	local $ENV{LD_PRELOAD} = $library;
	local $ENV{POOL_TEST_NAMES} = $names;
	$local = start_local();
}

# name(name, address...): what the name server answers from now on
sub name
{
	my ($name, @addresses) = @_;

	append_to_file("$names/$name.new", join('', map { "$_\n" } @addresses));
	rename "$names/$name.new", "$names/$name" or die $!;
	return;
}

# server(options): a server of its own, for which no attempt is made beside one
# that hangs
sub server
{
	my (%options) = @_;

	return new_server($local, $remote,
		{ retry_attempts => 1, breaker_timeout => '1h', max_size => 2, %options });
}

# answer(options), error(options): what a new server with these options answers,
# and the SQLSTATE and messages if it does not
sub answer
{
	return sql($local, select_42(server(@_)));
}

sub error
{
	return (sql_state($local, select_42(server(@_))))[ 0, 1 ];
}

# threads(): of the worker; each look-up has one, besides the main one
sub threads
{
	my $pid = worker_pid($local);

	return slurp_file("/proc/$pid/status") =~ /^Threads:\s+(\d+)/m ? $1 : 'none';
}

# wait_for_attempt(server, what): a test: one attempt to connect is under way
sub wait_for_attempt
{
	my ($server, $what) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return wait_for_value($local, "SELECT connecting FROM pool_stats WHERE server = '$server'",
		1, $what);
}

# Names.
name('one.test', '127.0.0.1');
is(answer(host => 'one.test'), '42', 'a host can be a name');
name('two.test', '127.0.0.9', '127.0.0.1');
is(answer(host => 'two.test'), '42',
	'the second address of a name is tried when the first one is dead');
is(answer(host => 'one.test', hostaddr => '127.0.0.1'), '42',
	'a host can be a name with its address');
is(answer(host => 'unasked.test', hostaddr => '127.0.0.1'), '42',
	'a name with its address is not looked up');
is(answer(host => 'localhost'), '42', 'a host can be localhost');
is(answer(host => 'two.test,one.test'), '42', 'hosts can be two names');
name('none.test');
my ($state, $err) = error(host => 'none.test');
is($state, '08001', 'an unknown name is an error');
like($err,
	qr/could not translate host name "none.test" to address: Name or service not known/,
	'the error says which name is unknown');
is(answer(host => 'none.test,one.test'), '42',
	'an unknown name is no error when there is another host');

# A name is looked up for each attempt.
name('moves.test', '127.0.0.9');
my $moving = server(
	host => 'moves.test', retry_attempts => 1000, retry_delay => '50ms',
	retry_max_delay => '50ms', breaker_threshold => 0);
my $session = session($local);
$session->begin(select_42($moving));
wait_until(20, sub { stat_of($local, 'connect_errors', $moving) > 1 });
ok($session->busy, 'a session waits while the address of a name is dead');
name('moves.test', '127.0.0.1');
is($session->result->{out}, '42', 'a name is looked up again for each attempt');

# A name server that does not answer.
my $hangs = server(host => 'hangs.test', connect_timeout => '60s', acquire_timeout => '60s');
$session->begin(select_42($hangs));
wait_for_attempt($hangs, 'an attempt is under way while its look-up hangs');
my $well = server();
is(sql($local, select_42($well)), '42', 'another pool connects while a look-up hangs');
is(answer(host => 'one.test'), '42', 'another name can be looked up while a look-up hangs');
is(sql($local, "SELECT pool_reconnect('$well')"), '1',
	'connections of another pool are closed while a look-up hangs');
is(sql($local, select_42($well)), '42',
	'connections of another pool are opened again while a look-up hangs');
ok($session->busy, 'the session whose look-up hangs goes on to wait');
my $dropped = server(host => 'hangs.test', connect_timeout => '60s');
my $other = session($local);
$other->begin(select_42($dropped));
wait_for_attempt($dropped, 'an attempt of another pool hangs in its look-up');
cmp_ok(threads(), '>=', 3, 'two pools have a look-up each for the same name');
sql($local, "DROP SERVER $dropped CASCADE");
is($other->result->{state}, '42704',
	'a session that waits for a look-up gets an error when its server is dropped');
wait_for_value($local, "SELECT count(*) FROM pool_connections WHERE server = '$dropped'", 0,
	'a dropped server whose look-up hangs leaves no place occupied');
name('hangs.test', '127.0.0.1');
is($session->result->{out}, '42', 'a session is served when the name server answers at last');
ok(wait_until(20, sub { threads() == 1 }), 'no thread is left after the look-ups');

# connect_timeout is for the look-up.
($state, $err) = error(host => 'never.test', connect_timeout => '200ms');
is($state, '08001', 'a look-up that is not answered within connect_timeout is an error');
like($err, qr/could not translate host name "never.test" to address: timeout expired/,
	'the error says which look-up was not answered');
is(answer(host => 'never.test,one.test', connect_timeout => '3s'), '42',
	'a look-up that is not answered is no error when there is another host');

# connect_timeout is for each host.
my @silent = map { mute_remote() } 1 .. 2;
my @ports = map { $_->sockport } @silent;
my %short = (connect_timeout => '500ms', acquire_timeout => '60s');
my %enough = (%short, connect_timeout => '3s');    # to connect on a busy machine
is(answer(%enough, host => '127.0.0.1,127.0.0.1', port => "$ports[0],$port"), '42',
	'the second host is tried when the first one does not answer');
is( answer(
		%enough,
		host => '127.0.0.1,one.test,127.0.0.1',
		port => "$ports[0],$ports[1],$port",
		target_session_attrs => 'prefer-standby'),
	'42', 'the third host is tried when two do not answer, where a standby is preferred');
($state, $err) = error(%short, host => '127.0.0.1,127.0.0.1', port => "$ports[0],$ports[1]");
is($state, '08001', 'it is an error when no host answers');
like($err,
	qr/port $ports[0] failed: timeout expired; .*port $ports[1] failed: timeout expired/,
	'the error tells of each host that does not answer');
($state, $err) = error(%short, host => '127.0.0.1,127.0.0.9', port => "$ports[0],$port");
like($err, qr/port $ports[0] failed: timeout expired; .*127\.0\.0\.9.*refused/,
	'the error tells of a host that does not answer and of one that refuses');
like((error(host => 'none.test,127.0.0.9'))[1],
	qr/"none.test" to address: .*; .*127\.0\.0\.9.*refused/,
	'the error tells of a host that is unknown and of one that refuses');
is( answer(
		%enough,
		host => '127.0.0.1,127.0.0.1',
		hostaddr => '127.1,',
		port => "$ports[0],$port"),
	'42', 'hostaddr can have another form of an address, and none for the second host');
is(answer(host => '127.0.0.1,127.0.0.1', port => ",$port"), '42',
	'hosts can be the same address with two ports');

# What the options said before is given up at once, and gets no new password.
accept_all($silent[1]);
my $old = server(
	host => '127.0.0.1,127.0.0.1', port => "$ports[0],$ports[1]", connect_timeout => '60s',
	max_size => 1, acquire_timeout => '60s');
$session->begin(select_42($old));
wait_for_attempt($old, 'an attempt at the first of two silent hosts is under way');
my $good = "ALTER SERVER %s OPTIONS"
  . " (SET host '127.0.0.1', SET port '$port', SET connect_timeout '60s')";
sql($local, sprintf($good, $old)
	  . "; ALTER USER MAPPING FOR postgres SERVER $old"
	  . " OPTIONS (SET password '$PoolTest::password')");
is(sql($local, select_42($old)), '42',
	'after options were altered a session is served from the new host');
is($session->result->{out}, '42',
	'a session that waited since before options were altered is served from the new host');
wait_for_value($local, "SELECT connecting FROM pool_stats WHERE server = '$old'", 0,
	'the attempt with the old options has ended');
is(scalar accept_all($silent[1]), 0, 'the second of the old hosts was not tried');
is(stat_of($local, 'connect_errors', $old), 0, 'an attempt that was given up is no failure');
$old = server(host => '127.0.0.1', port => $ports[0], connect_timeout => '60s',
	max_size => 1, acquire_timeout => '60s');
$session->begin(select_42($old));
wait_for_attempt($old, 'an attempt at the only host, which is silent, is under way');
sql($local, sprintf $good, $old);
is(sql($local, select_42($old)), '42',
	'an attempt that is given up leaves its place at once to one with the new options');
is($session->result->{out}, '42',
	'a session that waited for an attempt that is given up is served from the new host');
my $drained = server(host => 'never.test', connect_timeout => '60s');
$session->begin(select_42($drained));
wait_for_attempt($drained, 'an attempt is under way whose look-up is never answered');
is(sql($local, "SELECT pool_drain('$drained')"), 0, 'pool_drain does not wait for a look-up');
sql($local, "DROP SERVER $drained CASCADE");
is($session->result->{state}, '42704', 'DROP SERVER does not wait for a look-up');

# An unknown name is asked for again at once.
my $new = server(host => 'new.test', retry_delay => '1ms', retry_max_delay => '1ms',
	breaker_threshold => 0);
name('new.test');
is((sql_state($local, select_42($new)))[0], '08001', 'a name is unknown at first');
name('new.test', '127.0.0.1');
is(sql($local, select_42($new)), '42', 'a name that was unknown is looked up again at once');

# The limit holds also for connections that were being opened when it was lowered.
my $late = server(
	host => 'late.test', max_size => 4, acquire_timeout => '60s', connect_timeout => '60s');
name('late.test', '127.0.0.1');
my @leases = map { $session->query("SELECT pool_acquire('$late', hold => true)")->{out} } 1 .. 2;
unlink "$names/late.test";
my @waiters = map { session($local) } 1 .. 2;

# The last answer of the name server is good for a second.
my $clock = 'SELECT extract(epoch FROM clock_timestamp())';
my $until = sql($local, $clock) + 1.5;
wait_until(20, sub { sql($local, $clock) > $until });
$_->begin(select_42($late)) foreach @waiters;
wait_for_value($local, "SELECT connecting FROM pool_stats WHERE server = '$late'", 2,
	'two attempts are under way when max_size is lowered');
sql($local, "SELECT pool_resize('$late', 0, 2)");
name('late.test', '127.0.0.1');
wait_for_value($local,
	"SELECT connecting + closing FROM pool_stats_all() WHERE server = '$late'", 0,
	'attempts that began before max_size was lowered come to an end');
is(sql($local, "SELECT open, waiting FROM pool_stats WHERE server = '$late'"), '2|2',
	'connections beyond the lowered max_size are closed, and sessions go on to wait');
$session->query("SELECT pool_release($_)") foreach @leases;
is($_->result->{out}, '42',
	'a session that waits acquires what is released under a lowered max_size')
  foreach @waiters;
$_->quit foreach @waiters;

# There is an end to hosts, and to look-ups at a time.
is((error(host => join ',', ('127.0.0.9') x 33))[0], '54000', 'more than 32 hosts are refused');
my $before = threads();
my @hanging = map {
	my $n = $_;
	server(host => join(',', map { "h$n-$_.test" } 1 .. 32), connect_timeout => '200ms')
} 1 .. 3;
my $too_many = qr/too many host names are being looked up/;
like((sql_state($local, select_42($hanging[$_])))[1],
	$_ < 2 ? qr/timeout expired|too many host names/ : $too_many,
	'32 names that hang, in pool ' . ($_ + 1) . ' of three, get the error that explains it')
  foreach 0 .. 2;
cmp_ok(threads(), '<=', 65, 'no more than 64 look-ups are under way at a time');
is(sql($local, select_42($well)), '42',
	'a pool without names is served while 64 look-ups hang');
foreach my $n (1 .. 3)
{
	name("h$n-$_.test", '127.0.0.9') foreach 1 .. 32;
}
ok(wait_until(20, sub { threads() <= $before }), 'look-ups that hung end when they are answered');
my $again = server(host => 'again.test', connect_timeout => '100ms');
foreach my $password (1 .. 5)
{
	sql($local,
		"ALTER USER MAPPING FOR postgres SERVER $again OPTIONS (SET password '$password')");
	like((sql_state($local, select_42($again)))[1], qr/timeout expired/,
		"a look-up that hangs is not answered for password $password either");
}
cmp_ok(threads(), '<=', $before + 1, 'another password does not begin another look-up');

# The numbers of hosts, addresses and ports must fit, as libpq has it.
($state, $err) = sql_state($local, 'CREATE SERVER unfit FOREIGN DATA WRAPPER pool'
	  . q( OPTIONS (host 'one.test,one.test', port '1,2,3')));
is($state, '22023', 'more ports than hosts are refused');

# The server stops while a name is looked up.
my $last = server(host => 'never.test', connect_timeout => '60s');
$session->begin(select_42($last));
wait_for_attempt($last, 'an attempt is under way when the server stops');
$other->quit;
$local->stop('fast');
is(log_count($local, qr/could not connect pool.*not known any more/), 0,
	'the log has no failure for an attempt that was given up');
no_crash($local, $remote);

done_testing();

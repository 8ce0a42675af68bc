# 021_hosts.pl
#	Several hosts, several addresses of a name, names that cannot be looked up
#	and hosts that do not answer: they cost their own pool no more than
#	connect_timeout, and other pools nothing.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use IO::Socket::INET;
use PoolTest;
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
my $number = 0;

# name(name, address...): what the name server answers from now on
sub name
{
	my ($name, @addresses) = @_;

	append_to_file("$names/$name.new", join('', map { "$_\n" } @addresses));
	rename "$names/$name.new", "$names/$name" or die $!;
	return;
}

# server(options): a server of its own
sub server
{
	my (%options) = @_;
	my $name = 'srv' . ++$number;

	create_server($local, $name, $remote,
		options => { retry_attempts => 1, max_size => 2, %options });
	return $name;
}

sub ask { return "SELECT t FROM pool_query('$_[0]', 'select 42') AS r(t int)"; }

sub threads
{
	my $pid = sql($local, q(SELECT pid FROM pg_stat_activity WHERE backend_type = 'pool worker'));

	return slurp_file("/proc/$pid/status") =~ /^Threads:\s+(\d+)/m ? $1 : 'none';
}

# A listener that never answers.
sub silent
{
	return IO::Socket::INET->new(Listen => 10, LocalAddr => '127.0.0.1') || die $!;
}

# Names.
name('one.test', '127.0.0.1');
is(sql($local, ask(server(host => 'one.test'))), '42', 'a name');
name('two.test', '127.0.0.9', '127.0.0.1');
is(sql($local, ask(server(host => 'two.test'))), '42', 'a name of two addresses, the first one is dead');
is(sql($local, ask(server(host => 'one.test', hostaddr => '127.0.0.1'))), '42', 'a name with its address');
is(sql($local, ask(server(host => 'unasked.test', hostaddr => '127.0.0.1'))), '42',
	'which nobody has to be asked for');
is(sql($local, ask(server(host => 'localhost'))), '42', 'localhost');
is(sql($local, ask(server(host => 'two.test,one.test'))), '42', 'two names');
name('none.test');
my $offset = log_offset($local);
my ($state, $err) = sql_state($local, ask(server(host => 'none.test')));
is($state, '08001', 'an unknown name is an error');
like($err, qr/could not translate host name "none.test" to address: Name or service not known/,
	'which says so');
is(sql($local, ask(server(host => 'none.test,one.test'))), '42', 'unless there is another one');

# A name is looked up for each attempt.
name('moves.test', '127.0.0.9');
my $moving = server(host => 'moves.test', retry_attempts => 1000, retry_delay => '50ms',
	retry_max_delay => '50ms', breaker_threshold => 0);
my $session = session($local);
$session->begin(ask($moving));
wait_until(20, sub { stat_of($local, 'connect_errors', $moving) > 1 });
ok($session->busy, 'its address is dead');
name('moves.test', '127.0.0.1');
is($session->result->{out}, '42', 'and then it is another one');

# A name server that does not answer.
my $hangs = server(host => 'hangs.test', connect_timeout => '60s', acquire_timeout => '60s');
$session->begin(ask($hangs));
wait_for_value($local, "SELECT connecting FROM pool_stats WHERE server = '$hangs'", 1, 'a look-up hangs');
my $well = server();
is(sql($local, ask($well)), '42', 'another pool connects meanwhile');
is(sql($local, ask(server(host => 'one.test'))), '42', 'and one that has a name to look up');
is(sql($local, "SELECT pool_reconnect('$well')"), '1', 'connections are closed');
is(sql($local, ask($well)), '42', 'and opened');
ok($session->busy, 'it still hangs');
my $dropped = server(host => 'hangs.test', connect_timeout => '60s');
my $other = session($local);
$other->begin(ask($dropped));
wait_for_value($local, "SELECT connecting FROM pool_stats WHERE server = '$dropped'", 1, 'another one hangs');
cmp_ok(threads(), '>=', 3, 'there are two look-ups');
sql($local, "DROP SERVER $dropped CASCADE");
is($other->result->{state}, '42704', 'its server is dropped: an error at once');
wait_for_value($local, "SELECT count(*) FROM pool_connections WHERE server = '$dropped'", 0,
	'and no place is taken for it');
name('hangs.test', '127.0.0.1');
is($session->result->{out}, '42', 'the name server answers');
ok(wait_until(20, sub { threads() == 1 }), 'no thread is left');

# connect_timeout is for the look-up.
($state, $err) = sql_state($local, ask(server(host => 'never.test', connect_timeout => '200ms')));
is($state, '08001', 'never an answer: an error');
like($err, qr/could not translate host name "never.test" to address: timeout expired/, 'which says so');
is(sql($local, ask(server(host => 'never.test,one.test', connect_timeout => '200ms'))), '42',
	'unless there is another one');

# connect_timeout is for each host.
my @silent = map { silent() } 1 .. 2;
my @ports = map { $_->sockport } @silent;
is( sql($local, ask(server(host => '127.0.0.1,127.0.0.1', port => "$ports[0],$port",
			connect_timeout => '500ms', acquire_timeout => '60s'))),
	'42', 'the first host does not answer');
is( sql($local, ask(server(host => '127.0.0.1,one.test,127.0.0.1', port => "$ports[0],$ports[1],$port",
			connect_timeout => '500ms', acquire_timeout => '60s', target_session_attrs => 'prefer-standby'))),
	'42', 'nor the second one, where a standby is preferred');
($state, $err) = sql_state($local, ask(server(host => '127.0.0.1,127.0.0.1',
			port => "$ports[0],$ports[1]", connect_timeout => '500ms', acquire_timeout => '60s')));
is($state, '08001', 'none answers: an error');
like($err, qr/port $ports[0] failed: timeout expired; .*port $ports[1] failed: timeout expired/,
	'which tells of each');
($state, $err) = sql_state($local, ask(server(host => '127.0.0.1,127.0.0.9',
			port => "$ports[0],$port", connect_timeout => '500ms', acquire_timeout => '60s')));
like($err, qr/port $ports[0] failed: timeout expired; .*127\.0\.0\.9.*refused/, 'also when the other one refuses');

# The numbers of hosts, addresses and ports must fit, as libpq has it.
($state, $err) = sql_state($local, ask(server(host => 'one.test,one.test', port => '1,2,3')));
like($err, qr/could not match 3 port numbers to 2 hosts/, 'too many ports');

# The server stops while a name is looked up.
$session->begin(ask(server(host => 'never.test', connect_timeout => '60s')));
wait_for_value($local, "SELECT connecting FROM pool_stats WHERE server = 'srv$number'", 1, 'a look-up hangs');
$other->quit;
$local->stop('fast');
is(log_count($local, qr/could not connect pool.*not known any more/), 1, 'the log tells of the dropped one');
no_crash($local, $remote);

done_testing();

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

sub sql_state_err
{
	my ($server) = @_;

	return (sql_state($local, ask($server)))[1];
}

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

like(sql_state_err(server(host => 'none.test,127.0.0.9')), qr/"none.test" to address: .*; .*127\.0\.0\.9.*refused/,
	'or is unknown');
is( sql($local, ask(server(host => '127.0.0.1,127.0.0.1', hostaddr => '127.1,', port => "$ports[0],$port",
			connect_timeout => '500ms', acquire_timeout => '60s'))),
	'42', 'an address in another form, and none for the second host');
is(sql($local, ask(server(host => '127.0.0.1,127.0.0.1', port => ",$port"))), '42', 'the same host at two ports');

# What the options said before is given up at once, and gets no new password.
$silent[1]->blocking(0);
1 while $silent[1]->accept;
my $old = server(host => '127.0.0.1,127.0.0.1', port => "$ports[0],$ports[1]", connect_timeout => '2s',
	max_size => 1, acquire_timeout => '60s');
$session->begin(ask($old));
wait_for_value($local, "SELECT connecting FROM pool_stats WHERE server = '$old'", 1, 'one connects to a silent host');
my $good = "ALTER SERVER %s OPTIONS (SET host '127.0.0.1', SET port '$port', SET connect_timeout '60s')";
sql($local, sprintf($good, $old) . "; ALTER USER MAPPING FOR postgres SERVER $old OPTIONS (SET password '$PoolTest::password')");
is(sql($local, ask($old)), '42', 'others options: served from another host');
is($session->result->{out}, '42', 'as is who waited');
wait_for_value($local, "SELECT connecting FROM pool_stats WHERE server = '$old'", 0, 'nothing is left of the attempt');
ok(!$silent[1]->accept, 'the second of the old hosts was not tried');
is(stat_of($local, 'connect_errors', $old), 0, 'what was given up is no failure');
$old = server(host => '127.0.0.1', port => $ports[0], connect_timeout => '60s', max_size => 1, acquire_timeout => '60s');
$session->begin(ask($old));
wait_for_value($local, "SELECT connecting FROM pool_stats WHERE server = '$old'", 1, 'one connects to a silent host');
sql($local, sprintf $good, $old);
is(sql($local, ask($old)), '42', 'there is room for it at once');
is($session->result->{out}, '42', 'also for who waited');
my $drained = server(host => 'never.test', connect_timeout => '60s');
$session->begin(ask($drained));
wait_for_value($local, "SELECT connecting FROM pool_stats WHERE server = '$drained'", 1, 'a look-up hangs');
is(sql($local, "SELECT pool_drain('$drained')"), 0, 'pool_drain() does not wait for it');
sql($local, "DROP SERVER $drained CASCADE");
is($session->result->{state}, '42704', 'nor does DROP SERVER');

# An unknown name is asked for again at once.
my $new = server(host => 'new.test', retry_delay => '1ms', retry_max_delay => '1ms', breaker_threshold => 0);
name('new.test');
is((sql_state($local, ask($new)))[0], '08001', 'unknown');
name('new.test', '127.0.0.1');
is(sql($local, ask($new)), '42', 'and then known');

# The limit holds also for connections that were being opened when it was lowered.
my $late = server(host => 'late.test', max_size => 4, acquire_timeout => '60s', connect_timeout => '60s');
name('late.test', '127.0.0.1');
my @leases = map { $session->query("SELECT pool_acquire('$late', hold => true)")->{out} } 1 .. 2;
unlink "$names/late.test";
my @waiters = map { session($local) } 1 .. 2;

# The last answer of the name server is good for a second.
my $clock = 'SELECT extract(epoch FROM clock_timestamp())';
my $until = sql($local, $clock) + 1.5;
wait_until(20, sub { sql($local, $clock) > $until });
$_->begin(ask($late)) foreach @waiters;
wait_for_value($local, "SELECT connecting FROM pool_stats WHERE server = '$late'", 2, 'two are being opened');
sql($local, "SELECT pool_resize('$late', 0, 2)");
name('late.test', '127.0.0.1');
wait_for_value($local, "SELECT connecting + closing FROM pool_stats WHERE server = '$late'", 0, 'they come');
is(sql($local, "SELECT open, waiting FROM pool_stats WHERE server = '$late'"), '2|2', 'and are too many');
$session->query("SELECT pool_release($_)") foreach @leases;
is($_->result->{out}, '42', 'who waits gets what comes back') foreach @waiters;
$_->quit foreach @waiters;

# There is an end to hosts, and to look-ups at a time.
my ($many) = map { server(host => join ',', ('127.0.0.9') x $_) } 33;
is((sql_state($local, ask($many)))[0], '54000', 'too many hosts');
my $before = threads();
my @hanging = map {
	my $n = $_;
	server(host => join(',', map { "h$n-$_.test" } 1 .. 32), connect_timeout => '200ms')
} 1 .. 3;
like(sql_state_err($hanging[$_]), $_ < 2 ? qr/timeout expired|too many host names/ : qr/too many host names are being looked up/, 'many names that hang')
  foreach 0 .. 2;
cmp_ok(threads(), '<=', 65, 'no more than that');
is(sql($local, ask($well)), '42', 'who needs no names is served');
name("h$_->[0]-$_->[1].test", '127.0.0.9') foreach map { my $n = $_; map { [ $n, $_ ] } 1 .. 32 } 1 .. 3;
ok(wait_until(20, sub { threads() <= $before }), 'they end');
my $again = server(host => 'again.test', connect_timeout => '100ms');
foreach my $password (1 .. 5)
{
	sql($local, "ALTER USER MAPPING FOR postgres SERVER $again OPTIONS (SET password '$password')");
	like(sql_state_err($again), qr/timeout expired/, 'another password');
}
cmp_ok(threads(), '<=', $before + 1, 'is no other look-up');

# The numbers of hosts, addresses and ports must fit, as libpq has it.
($state, $err) = sql_state($local, ask(server(host => 'one.test,one.test', port => '1,2,3')));
like($err, qr/could not match 3 port numbers to 2 hosts/, 'too many ports');

# The server stops while a name is looked up.
$session->begin(ask(server(host => 'never.test', connect_timeout => '60s')));
wait_for_value($local, "SELECT connecting FROM pool_stats WHERE server = 'srv$number'", 1, 'a look-up hangs');
$other->quit;
$local->stop('fast');
is(log_count($local, qr/could not connect pool.*not known any more/), 0, 'what was given up is no failure');
no_crash($local, $remote);

done_testing();

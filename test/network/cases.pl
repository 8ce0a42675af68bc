# cases.pl
#	The cases of network.sh: what a session meets while the network to its remote
#	fails in some way, and how soon the pool is well again.
#
#	Four sessions work by way of a server that does not encrypt, four by way of one
#	that does, each with statements that carry tokens of their own.  Two more are
#	busy with a remote on this side, in the same worker.  Then the network fails for
#	some seconds.  In every case: no answer is wrong; an error is one that the fault
#	explains, and comes within its time; the other pool goes on; when the fault is
#	over all sessions are soon served again; nothing is left.

use strict;
use warnings;

use Fcntl qw(F_SETFD FD_CLOEXEC);
use FindBin;
use lib "$FindBin::RealBin/../t";
use IO::Handle;
use IO::Select;
use PoolTest;
use PoolTest::Servers;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

use lib $FindBin::RealBin;
use NetworkLoad;

# How long the network fails, and for how long nothing may be served after that.
# What pool promises is two seconds.
my $fails_for = 5;
my $recovers_in = 10;

#
# The relay, and the shell in the other namespace
#

my %pipe;
foreach my $fd (6 .. 9)
{
	open $pipe{$fd}, $fd % 2 ? '<&=' : '>&=', $fd or die "run this by test/network.sh: $!";
	fcntl $pipe{$fd}, F_SETFD, FD_CLOEXEC;
	$pipe{$fd}->autoflush(1);
}

# command(descriptor, line): the answer, which comes by the next descriptor
sub command
{
	my ($fd, $line) = @_;

	print { $pipe{$fd} } "$line\n";
	die "no answer to $line" if !IO::Select->new($pipe{ $fd + 1 })->can_read(90);
	sysread $pipe{ $fd + 1 }, my $answer, 1000;
	return $answer;
}

# network(command...): what the relay has counted
sub network
{
	my $answer;

	foreach my $command (@_)
	{
		$answer = command(6, $command);
		die "the relay does not know $command" if $answer !~ /^done/;
	}
	return { $answer =~ /(\w+)=(\d+)/g };
}

#
# Servers
#

# What finds out on either side that nobody is there any more.
my %alive = (keepalives_idle => 1, keepalives_interval => 1, keepalives_count => 2,
	tcp_user_timeout => 3000);
my %bounds = (%alive, connect_timeout => '2s', health_check_timeout => '1s',
	health_check_interval => '2s', validate_after_idle => '500ms', query_timeout => '4s',
	acquire_timeout => '4s', max_size => 3);

# What a session may wait for a lease and a statement, with time for a busy machine.
my $longest = 4 + 4 + 5;

sub start_far_remote
{
	my $node = PostgreSQL::Test::Cluster->new('remote');
	my $bin = $node->config_data('--bindir');

	$node->init;
	$node->append_conf('postgresql.conf', <<"CONF");
listen_addresses = '192.0.2.2'
log_statement = none
tcp_keepalives_idle = 1
tcp_keepalives_interval = 1
tcp_keepalives_count = 2
tcp_user_timeout = 3000
client_connection_check_interval = 1000
CONF
	my %tls = tls_conf($ENV{POOL_NETWORK_TLS});
	$node->append_conf('postgresql.conf', "$_ = $tls{$_}") foreach sort keys %tls;
	PoolTest::hba($node, 'scram-sha-256', 'host all all 192.0.2.0/24 scram-sha-256');
	my $status = command(8, join ' ', 'env', "PATH=$ENV{PATH}", "$bin/pg_ctl", '-w', '-D',
		$node->data_dir, '-l', $node->logfile, 'start');
	die "the remote does not start: $status" if $status != 0;
	$node->_update_pid(1);
	sql($node, "CREATE ROLE app LOGIN PASSWORD '$PoolTest::password'");
	sql($node, 'CREATE DATABASE far OWNER app');
	return $node;
}

my $far = start_far_remote();
my $near = start_remote(name => 'near');
my $local = start_local(max_connections => 60);
my %there = (host => '192.0.2.2', sslmode => 'disable');

create_server($local, 'plain', $far, options => { %bounds, %there });
create_server($local, 'encrypted', $far, options => { %bounds, %there, sslmode => 'require' });
create_server($local, 'near', $near, options => { max_size => 1 });
create_load($local, $far);

my $control = session($local);
my $worker = worker_pid($local);

# close_all(): all connections, and how many files the worker has open then
sub close_all
{
	$control->query("SELECT pool_close('$_')") foreach 'plain', 'encrypted', 'near';
	wait_for_value($local, 'SELECT sum(open + connecting + closing) FROM pool_stats_all()', 0,
		'all connections can be closed', seconds => 20);
	return scalar descriptors($worker);
}

sql($local, "SELECT pool_prewarm('$_', 1)") foreach 'plain', 'encrypted', 'near';
my $files;
subtest 'without a fault' => sub { $files = close_all(); };

#
# Cases under load
#

my $lost = qr/^0800[16]$/;
my $in_time = qr/^(?:57014|53300)$/;

# What is told to the relay; which count shows that it did it; which errors are
# explained (none, if there are none).  They are tried in the order of names.
my %under_load = (
	delay => [ ['delay 60 60'], undef, undef ],
	loss => [ ['lose 8'], 'lost', qr/$lost|$in_time/ ],
	damage => [ ['damage 8'], 'damaged', qr/$lost|$in_time/ ],
	doubled => [ ['double 30'], 'doubled', undef ],
	disorder => [ ['disorder 30'], 'disordered', undef ],
	rate => [ ['rate 15000'], 'crowded', qr/$lost|$in_time/ ],
	mixed => [
		[ 'delay 10 10', 'lose 3', 'damage 3', 'double 5', 'disorder 5' ],
		'damaged', qr/$lost|$in_time/ ],
	swallowed => [ ['swallow 600'], 'swallowed', qr/$lost|$in_time/ ],
	dark => [ ['dark both'], 'dark', qr/$lost|$in_time/ ],
	'dark-up' => [ ['dark up'], 'dark', qr/$lost|$in_time/ ],
	'dark-down' => [ ['dark down'], 'dark', qr/$lost|$in_time/ ],
	forgotten => [ ['forget drop'], 'forgotten', qr/$lost|$in_time/ ],
	reset => [ ['forget reset'], 'reset', qr/^08006$/ ]);

sub under_load
{
	my ($commands, $shown, $explained) = @_;
	my ($before, $took, @sessions);

	@sessions = start_load($local, 4, 'plain', 'encrypted');
	ok(wait_until(20, sub { served_since(0) == @sessions }), 'all sessions are served');
	$before = network('counts');
	sql($local, 'TRUNCATE met');
	network(@$commands);
	fault_lasts($local, $fails_for);
	my $after = network('clear');
	my $cleared = sql($local, 'SELECT extract(epoch FROM clock_timestamp())');
	my $recovered = wait_until($recovers_in, sub { served_since($cleared) == @sessions });

	ok($recovered, 'all sessions are soon served when the fault is over')
	  or diag(sql($local, 'SELECT * FROM pool_stats'));
	$took = sql($local, 'SELECT extract(epoch FROM clock_timestamp())') - $cleared;
	cmp_ok($after->{$shown}, '>', $before->{$shown}, "the network has $shown packets")
	  if $shown;
	is(stop_load($local, @sessions), 0, 'no session is stuck');

	is(wrong_answers($local), '', 'no answer is wrong');
	my @odd = grep { !$explained || $_->[0] !~ $explained } errors_met($local);
	is(join("\n", map { join ' ', @$_ } @odd), '', 'the fault explains each error');
	cmp_ok(longest_time($local, "kind <> 'near'"), '<', $longest,
		'no statement takes longer than its bounds allow');
	cmp_ok(longest_time($local, "kind = 'acquire'"), '<', $longest - 4,
		'no acquire takes longer than its bounds allow');
	near_goes_on($local);
	inserts_happened($local, $far);
	note sprintf 'served again after %.1f s; %s', $took, load_report($local);
	return;
}

#
# Cases without load
#

# Idle connections are forgotten: one session waits for one validation, no more.
sub idle
{
	my ($how) = @_;
	my $session = session($local);

	foreach my $server ('plain', 'encrypted')
	{
		sql($local, "SELECT pool_prewarm('$server', 3)");
		wait_for_value($local,
			"SELECT count(*) FROM pool_connections WHERE server = '$server'"
			  . " AND state = 'idle' AND clock_timestamp() - since > '600ms'",
			3, "$server has three connections that are validated before their use");
		my $failures = stat_of($local, 'validation_failures', $server);
		network("forget $how");

		# A check by the worker may have found it out before.
		my $answer = $session->query(select_42($server));
		is($answer->{out}, '42', "$server: connections that are gone are replaced")
		  or diag($answer->{err});
		cmp_ok(stat_of($local, 'validation_failures', $server), '<=', $failures + 1,
			"$server: the session waits for one validation at most");
		cmp_ok($answer->{secs}, '<', $longest, "$server: the session is served in time");
		wait_for_value($local,
			"SELECT idle > 0 AND open = idle FROM pool_stats WHERE server = '$server'",
			't', "$server: only connections that live are left", seconds => 20);
	}
	$session->quit;
	return;
}

# A statement without query_timeout: the kernel finds out, on both sides.
sub asleep
{
	my ($how) = @_;
	my @sleepers;

	sql($local, qq(ALTER SERVER "$_" OPTIONS (SET query_timeout '0'))) foreach 'plain', 'encrypted';
	foreach my $server ('plain', 'encrypted')
	{
		push @sleepers, session($local);
		$sleepers[-1]->begin("SELECT pool_exec('$server', 'select pg_sleep(60)')");
	}
	wait_for_remote_statement($far, 'both statements have begun', 2);
	network($how);
	foreach my $sleeper (@sleepers)
	{
		my $answer = $sleeper->result(40);

		is($answer->{state}, '08006', "$how: a statement whose remote is gone fails")
		  or diag($answer->{err});
		cmp_ok($answer->{secs}, '<', 20, "$how: it fails within the time of the keepalives");
		like($answer->{err}, qr/server "(?:plain|encrypted)"/, "$how: the error names the server");
	}
	wait_for_app_sessions($far, 0, "$how: the remote's statements end as well",
		condition => q(query ~ 'pg_sleep'), seconds => 30);
	network('clear');
	foreach my $sleeper (@sleepers)
	{
		my $server = $sleeper == $sleepers[0] ? 'plain' : 'encrypted';

		ok( wait_until($recovers_in, sub {
				$sleeper->query(select_42($server))->{out} eq '42';
			}), "$how: $server is soon well again");
		$sleeper->quit;
	}
	sql($local, qq(ALTER SERVER "$_" OPTIONS (SET query_timeout '4s')))
	  foreach 'plain', 'encrypted';
	return;
}

# A parameter that cannot get through is given up in the time of the kernel.
sub large_parameter
{
	my $session = session($local);

	foreach my $server ('plain', 'encrypted')
	{
		$session->query(select_42($server));
		network('swallow 600');
		my $answer = $session->query(
			"SELECT t FROM pool_query('$server', 'select length(\$1)', repeat('x', 20000))"
			  . ' AS r(t int)', 40);
		like($answer->{state}, qr/^(?:08006|57014)$/,
			"$server: a statement that cannot get through fails") or diag($answer->{err});
		cmp_ok($answer->{secs}, '<', $longest, "$server: it fails in time");
		network('clear');
		ok( wait_until($recovers_in, sub {
				$session->query(select_42($server))->{out} eq '42';
			}), "$server is soon well again");
	}
	$session->quit;
	return;
}

my %others = (
	'idle-forgotten' => sub { idle('drop') },
	'idle-reset' => sub { idle('reset') },
	'asleep-forgotten' => sub { asleep('forget drop') },
	'asleep-reset' => sub { asleep('forget reset') },
	'asleep-dark' => sub { asleep('dark both') },
	'large-parameter' => \&large_parameter);

#
# All of them, or those that are named
#
my @all = (sort(keys %under_load), sort keys %others);
foreach my $name (@ARGV ? @ARGV : @all)
{
	my $case = $under_load{$name};

	die "there is no case $name; there are: @all" if !$case && !$others{$name};
	subtest $name => sub {
		$case ? under_load(@$case) : $others{$name}->();
		settled($local, 'nothing is under way after the fault, and the sums hold', 30);
		my ($here, $there) = (-1, -1);
		wait_until(20, sub {
			$here = sql($local, q(SELECT sum(open) FROM pool_stats WHERE server <> 'near'));
			$there = app_sessions($far);
			return $here == $there;
		});
		is($there, $here, 'the remote has as many sessions as pool has connections');
		cmp_ok(close_all(), '<=', $files, 'the worker has no more files open than before');
		wait_for_app_sessions($far, 0, 'the remote has no session when all are closed',
			seconds => 30);
		network('clear', 'forget drop');
	};
}

$control->quit;
subtest 'in the end' => sub {
	is(worker_pid($local), $worker, 'the worker is the same process');
	no_crash($local, $far, $near);
};
done_testing();

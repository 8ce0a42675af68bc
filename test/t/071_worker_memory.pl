# 071_worker_memory.pl
#	What the worker reads has a bound, whatever a remote sends: in resets and
#	health checks, and before a connection is ready.  Beyond it the connection is
#	closed, the log says why, and the worker is as large as before.
#
# Not with sanitizers or valgrind.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::HostileServer;
use PoolTest::Wire;
use Test::More;

my ($local, $remote) = start_pair(reset_query => 'DISCARD ALL');
my $worker = worker_pid($local);

# What each case sends at the least, and by how much the worker may grow, in kB
my ($sent, $bound) = (80 * 1024, 32 * 1024);

# forget_peak(): from now on VmHWM is the most that there was since
sub forget_peak
{
	open my $file, '>', "/proc/$worker/clear_refs" or die "clear_refs: $!";
	print $file '5';
	close $file or die "clear_refs: $!";
	return;
}

# stays_small(what, code): a test: the worker does not grow in it
sub stays_small
{
	my ($what, $code) = @_;

	forget_peak();
	my $before = memory_of($worker, 'VmRSS');

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$code->();
	cmp_ok(memory_of($worker, 'VmHWM') - $before, '<', $bound, $what);
	return;
}

is(sql($local, select_42('srv')), '42', 'a connection is there before the worker is measured');

#
# Notifications that come for a connection that nobody uses: its reset meets them.
# The worker is stopped until they are on their way; with TLS it would have to relay.
#
stays_small(
	'notifications that meet a reset do not stay in the worker',
	sub {
		my $offset = log_offset($local);
		my $session = session($local);

		is($session->query(select_42('srv'))->{out}, '42', 'a session has a copy');
		kill 'STOP', $worker;
		is($session->query(q(SELECT pool_exec('srv', 'listen flood')))->{err}, '',
			'a connection is left listening');
		is( sql($remote,
				"SELECT count(pg_notify('flood', n || repeat('x', 7000)))"
				  . ' FROM generate_series(1, 12000) AS n', db => 'far'),
			'12000',
			'a connection that listens is sent 12000 notifications of 7 kB');
		kill 'CONT', $worker;
		ok( wait_until(60,
				sub { return stat_of($local, 'closed_reset_failed + closed_unclean', 'srv') > 0; }),
			'a connection whose reset meets a flood of notifications is closed');
		my $closed = qr/pool for server "srv" closed its connection to \S+, remote process \d+/;
		ok( wait_until(20, sub {
				log_since($local, $offset) =~ /$closed: more than 1024 kB came in reply to a reset/;
			}),
			'the log says why the connection with a flood was closed');
		$session->quit;
	}) if !$PoolTest::tls;
is(sql($local, select_42('srv')), '42', 'the pool goes on after a flood of notifications');

#
# What is no flood is passed over.
#
my $few = new_server($local, $remote,
	{ reset_query => 'listen self',
	  health_check_query => "select pg_notify(''self'', n || repeat(''x'', 1000))"
		. ' from generate_series(1, 100) n',
	  health_check_interval => '50ms' });
sql($local, select_42($few));
wait_for_value($local, "SELECT health_checks > 5 FROM pool_stats_all() WHERE server = '$few'", 't',
	'checks whose answers have rows and notifications go well');
is( sql($local,
		"SELECT health_check_failures || '/' || connects FROM pool_stats_all()"
		  . " WHERE server = '$few'"),
	'0/1', 'no check with rows and notifications fails, and the connection is the same');
sql($local, "DROP SERVER $few CASCADE");

# A setting that the remote reports to the worker matters to how rows are read.
my $german = new_server($local, $remote,
	{ reset_query => '', health_check_query => "set datestyle to ''German''",
	  health_check_interval => '50ms' });
sql($local, "SELECT pool_prewarm('$german', 1)");
wait_for_value($local, "SELECT health_checks > 0 FROM pool_stats_all() WHERE server = '$german'",
	't', 'the worker checks a connection that nobody has used');
like(
	(sql_state($local, select_42($german)))[1],
	qr/setting "DateStyle" of the remote session was changed/,
	'a session knows what the remote reported in a check by the worker');
sql($local, "DROP SERVER $german CASCADE");

#
# Checks whose answer is long: many rows, one value, notices.
#
my %long = (
	'many rows' => "select repeat('x', 1000) from generate_series(1, $sent)",
	'one long value' => "select repeat('x', $sent * 1024)",
	'many notices' => 'select shout()');
sql($remote, <<'SQL', db => 'far');
CREATE FUNCTION shout() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	FOR n IN 1 .. 80 LOOP
		RAISE WARNING '%', repeat('x', 1000000);
	END LOOP;
END $$
SQL
foreach my $what (sort keys %long)
{
	stays_small(
		"the worker does not keep a check's answer of $what",
		sub {
			my $offset = log_offset($local);
			my $quoted = $long{$what} =~ s/'/''/gr;
			my $server = new_server($local, $remote,
				{ health_check_query => $quoted, health_check_interval => '50ms',
				  health_check_timeout => '60s' });

			sql($local, select_42($server));
			ok( wait_until(60,
					sub { return stat_of($local, 'closed_check_failed', $server) > 0; }),
				"a connection whose check is answered with $what is closed");
			my $closed = qr/pool for server "$server" closed its connection to .*/;
			ok( wait_until(20, sub {
					log_since($local, $offset) =~
					  /$closed: more than 1024 kB came in reply to a health check/;
				}),
				"the log says that the answer of $what was too long");
			sql($local, "DROP SERVER $server CASCADE");
		});
}

#
# A remote that goes on sending before it is ready.  A message can announce a
# gigabyte, which libpq would wait for.
#
sub flood
{
	my ($first, $again, $times) = @_;

	return start_hostile_server(far => sub {
			my ($c) = @_;

			$c->put(message('R', pack 'N', 0), $first);
			$c->put(ref $again ? $again->($c, $_) : $again) foreach 1 .. $times;
		});
}

my $megabyte = 'x' x 1048576;
my $n = 0;
my %endless = (
	'parameters' => [ '',
		sub { join '', map { message('S', 'p' . $n++ . "\0" . 'x' x 5000 . "\0") } 1 .. 200 } ],
	'notices' => [ '', message('N', "SNOTICE\0M" . 'x' x 5000 . "\0\0") x 200 ],
	'notifications' => [ '', message('A', pack('N', 1) . "c\0" . 'x' x 5000 . "\0") x 200 ],
	'one notice of a gigabyte' => [ message('N', 'S', 2**30), $megabyte ]);
foreach my $what (sort keys %endless)
{
	my $port = flood(@{ $endless{$what} }, 100);

	stays_small(
		"a remote that sends $what before it is ready does not make the worker grow",
		sub {
			my $server = new_server($local, $remote,
				{ port => $port, sslmode => 'disable', retry_attempts => 1,
				  connect_timeout => '60s' });
			my ($state, $err) = sql_state($local, select_42($server));

			is($state, '08001', "a remote that sends $what before it is ready is an error");
			like($err, qr/failed: more than 64 kB came before it was ready/,
				"the error says that too much came, with $what");
			sql($local, "DROP SERVER $server CASCADE");
		});
}
my $hostile = flood(@{ $endless{notices} }, 10);
my $second = new_server($local, $remote,
	{ host => '127.0.0.1,127.0.0.1', port => $hostile . ',' . $remote->port,
	  connect_timeout => '60s' });
is(sql($local, select_42($second)), '42', 'after a host that sends too much the next one is tried');

# Less than that is no reason to refuse it, and goes to libpq in portions.
sub answer_check
{
	my ($c, $time) = @_;

	return message('Z', 'I') if $time == 1;
	$c->ask or return '';
	return message('1', '') . message('2', '') . message('I', '') . message('Z', 'I');
}
my $talkative = flood(join('', map { message('S', "p$_\0" . 'x' x 5000 . "\0") } 1 .. 10),
	\&answer_check, 1000);

# By then it has closed what it answered the session over.
wait_for_value($local, "SELECT resets > 0 FROM pool_stats_all() WHERE server = '$second'", 't',
	'the worker has reset the connection to the next host');
my $descriptors = descriptors($worker);
my $third = new_server($local, $remote,
	{ port => $talkative, sslmode => 'disable', health_check_interval => '50ms' });
is(sql($local, "SELECT pool_prewarm('$third', 1)"), '1',
	'a remote that sends 50 kB before it is ready is connected');
wait_for_value($local, "SELECT health_checks > 5 FROM pool_stats_all() WHERE server = '$third'",
	't', 'a connection after 50 kB is checked, and can be used');
ok(wait_until(20, sub { return descriptors($worker) == $descriptors + 1; }),
	'the worker has one more descriptor for one more connection');
stop_hostile_servers();

is(worker_pid($local), $worker, 'the worker is the same as at the beginning');
no_crash($local, $remote);

done_testing();

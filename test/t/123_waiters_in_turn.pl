# 123_waiters_in_turn.pl
#	A thousand sessions wait for one connection, and each asks again and again: who
#	waits has its turn before anybody has a second one, in the order of the queue,
#	however long a turn is.  What is counted are turns, not times.
#
# Runs in the plain round only.
# Needs fairness_round.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::Loops;
use PostgreSQL::Test::Utils;
use Test::More;

my $clients = 1000;
my $remote = start_remote();
my $local = start_local(max_connections => $clients + 20, shared_buffers => "'16MB'");
create_server($local, 'srv', $remote,
	options => { max_size => 1, acquire_timeout => '30min', fairness_round => '1min',
		health_check_interval => 0, max_lifetime => 0, idle_timeout => 0 });
$remote->safe_psql('far', 'CREATE TABLE served (n bigserial, pid int)',
	connstr => $remote->connstr('far') . ' user=app');
sql($local, <<'SQL');
CREATE FUNCTION asks(n int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. n LOOP
		PERFORM pool_exec('srv', 'insert into served (pid) values ($1)', pg_backend_pid());
	END LOOP;
END $$;
SQL

# First each session becomes known for coming back at once, so that it keeps the
# connection in its turn.  Then all wait for the test.
my $script = "$PostgreSQL::Test::Utils::tmp_check/ask.sql";
append_to_file($script,
	"SELECT asks(8);\nSELECT pg_advisory_lock_shared(1);\nSELECT asks(8);\n");
my ($holder, $control) = map { session($local) } 1, 2;
$control->query('SELECT pg_advisory_lock(1)');
my ($out, $err) = ('', '');
my $bench = start_crowd($local, $clients, $script, \$out, \$err);
wait_for_value($local, q(SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted),
	$clients, 'a thousand sessions have asked, and wait for the test', seconds => 300);
my $lease = $holder->acquire('srv');
$holder->query("SELECT pool_exec($lease, 'truncate served')");
$control->query('SELECT pg_advisory_unlock(1)');
wait_for_value($local, q(SELECT waiting FROM pool_stats WHERE server = 'srv'), $clients,
	'all of them wait for the connection', seconds => 120);
my @queue = split /\n/, sql($local, 'SELECT pid FROM pool_waiters ORDER BY place');
$holder->release($lease);
$bench->finish;
is($err =~ s/^pgbench: .*(?:scale|vacuum).*\n//gmr, '', 'nobody has an error');
is(($out =~ /actually processed: (\d+)/)[0], $clients, 'nobody is lost');

my @served = split /\n/, $remote->safe_psql('far', 'SELECT pid FROM served ORDER BY n');
is(scalar(@served), 8 * $clients, 'each is served as often as it asked');
my @turns = grep { $_ == 0 || $served[$_] != $served[ $_ - 1 ] } 0 .. $#served;
is(join(' ', map { $served[$_] } @turns[ 0 .. $clients - 1 ]), join(' ', @queue),
	'each has its turn, in the order of the queue, before anybody has another one');
cmp_ok($turns[$clients], '>', $clients, 'in which it is served more than once');
note scalar(@turns) . ' turns, ' . $turns[$clients] . " statements in the first $clients";

$_->quit foreach $holder, $control;
at_rest($local, $remote, 'at the end');
no_crash($local, $remote);
done_testing();

# 105_long_waiters.pl
#	One connection and a thousand sessions that wait for it, of which half are
#	canceled: every other one gets its own answer, and nothing is left.
#
# Runs in the plain round only.
# Runs with --long only.

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
create_server($local, 'srv', $remote, options => { max_size => 1, acquire_timeout => '30min' });

# A wrong answer is a division by zero.
my $script = "$PostgreSQL::Test::Utils::tmp_check/ask.sql";
append_to_file($script, "SELECT 1 / (t = :client_id)::int FROM pool_query('srv',"
	  . " 'select \$1', :client_id) AS r(t int);\n");
my $holder = session($local);
my $control = session($local);
foreach my $round (1, 2)
{
	my $lease = $holder->acquire('srv');
	my ($out, $err) = ('', '');
	my $bench = start_crowd($local, $clients, $script, \$out, \$err);

	wait_for_value($local, 'SELECT sum(waiting) FROM pool_stats', $clients,
		"round $round: a thousand sessions wait", seconds => 300);

	# A part of the cancels comes while others are served.
	my $cancel = 'SELECT count(pg_cancel_backend(pid)) FROM (SELECT pid FROM pool_waiters'
	  . ' WHERE pid %% 2 = %d ORDER BY random() LIMIT %d) w';
	my $half = $control->query(sprintf $cancel, $round % 2, $clients / 4)->{out};
	$half += $control->query(sprintf $cancel, 1 - $round % 2, $clients / 8)->{out};
	wait_for_value($local, 'SELECT sum(waiting) FROM pool_stats', $clients - $half,
		"round $round: $half of them are canceled, and wait no more", seconds => 60);
	$holder->release($lease);
	$control->query(sprintf $cancel, $_, $clients / 16) foreach 0, 1;
	$bench->finish;

	my $canceled = () = $err =~ /ERROR:  canceling statement due to user request/g;
	my $others = join "\n", grep { /ERROR|FATAL/ && !/canceling statement due to user/ }
	  split /\n/, $err;
	my ($served) = $out =~ /actually processed: (\d+)/;

	is($others, '', "round $round: nobody has another error, and no wrong answer");
	cmp_ok($canceled, '>=', $half, "round $round: who was canceled has an error: $canceled");
	is($served + $canceled, $clients, "round $round: all others are served: $served");
	is(stat_of($local, 'waiting + active'), '0', "round $round: nobody waits or holds any more");
	settled($local, "round $round: every lease is accounted for", 60);
}
is($control->query(select_42('srv'))->{out}, '42', 'the next session is served');
$_->quit foreach $holder, $control;
remote_count($local, $remote);
no_crash($local, $remote);

done_testing();

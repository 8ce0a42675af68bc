# 142_activity.pl
#	Which connection a session holds or waits for: in its own eyes, and in those of an
#	administrator who looks at pg_stat_activity: the queries of doc/monitoring.md.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $remote = start_remote();
my $local = start_local();
create_server($local, $_, $remote, options => { max_size => 1, acquire_timeout => '60s' })
  foreach 'srv', 'west';
my ($holder, $waiter, $asker) = map { session($local) } 1 .. 3;

# The two queries, as the manual has them
my $page = slurp_file("$FindBin::RealBin/../../doc/monitoring.md");
my ($section) = $page =~ /\n## Sessions and their connections\n(.*?)\n## /s;
my ($own, $all) = map { s/^=> //r =~ s/\n-> /\n/gr } $section =~ /^(=> SELECT .*?;)$/msg;
like($own, qr/pg_backend_pid/, 'the manual has a query for a session');
like($all, qr/pg_stat_activity/, 'and one for an administrator');

is($holder->query($own)->{out}, '', 'a session without a lease sees none');
my $lease = $holder->acquire('srv');
my $other = $holder->acquire('west');
$holder->query("SELECT pool_exec($lease, 'select 1')");
my $remote_pid = $holder->query("SELECT t FROM pool_query($lease, 'select pg_backend_pid()') AS r(t int)")
  ->{out};
my @seen = sort split /\n/, $holder->query($own)->{out};
is(scalar(@seen), 2, 'it sees its leases');
like($seen[0], qr/^srv\|leased\|$remote_pid\|/, 'with the process on the remote');
like($seen[1], qr/^west\|leased\|\d+\|/, 'of each server');
$holder->release($other);

# What the administrator sees
sub rows
{
	return join "\n", sort grep { /^(?:@{[join '|', map { $_->pid } $holder, $waiter, $asker]})\|/ }
	  split /\n/, sql($local, $all);
}
$waiter->begin(select_42('srv'));
wait_for_waiters($local, 1, 'a session waits', 'srv');
$asker->begin(q(SELECT pool_exec('west', 'select pg_sleep(60)')));
wait_for_remote_statement($remote, 'another one is at work');
my $waits = qr/^@{[$waiter->pid]}\|active\|(?:Extension|PoolAcquire)\|\|\|srv$/m;
my $asks = qr/^@{[$asker->pid]}\|active\|(?:Extension|PoolQuery)\|west\|\d+\|$/m;
my $rows;

# Who has joined a queue, or sent a statement, is just about to wait.
wait_until(10, sub { $rows = rows(); return $rows =~ $waits && $rows =~ $asks });
like($rows, qr/^@{[$holder->pid]}\|idle\|[^|]*\|srv\|$remote_pid\|$/m, 'one that holds a connection');
like($rows, $waits, 'one that waits, for which server');
like($rows, $asks, 'and one that waits for a remote, with the process to look at there');
sql($local, "SELECT pg_cancel_backend(" . $asker->pid . ')');
$asker->result;
$holder->release($lease);
is($waiter->result->{out}, '42', 'who waited is served');
is(rows(), '', 'and nobody is in the list any more');

$_->quit foreach $holder, $waiter, $asker;
settled($local);
remote_count($local, $remote);
no_crash($local, $remote);
done_testing();

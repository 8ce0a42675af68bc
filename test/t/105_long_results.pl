# 105_long_results.pl
#	Results as large as they can be: ten million rows, a field of almost a gigabyte,
#	and one that no PostgreSQL can hold.  Memory stays bounded, or is given back, and
#	what comes after has its own answer.
#
# Runs in the plain round only.
# Not with sanitizers or valgrind.
# Runs with --long only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use Test::More;

my ($local, $remote) = start_pair(max_size => 2);
my $session = session($local);
my $other = session($local);

# memory(pid): what a process has for itself, in MB
sub memory
{
	my ($pid) = @_;

	return memory_of($pid, 'RssAnon') / 1024;
}

# answers(what): a test: the next statements of both sessions do
sub answers
{
	my ($what) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is(join(' ', map { $_->query(select_42('srv'))->{out} } $session, $other, $session),
		'42 42 42', "the next statements are answered after $what");
}

#
# Ten million rows
#
my %query = (
	pool_query => q(SELECT count(*), sum(a) FROM pool_query('srv',
		'select g, repeat(''x'', 20) from generate_series(1, 10000000) g') AS t(a int, b text)),
	pool_query_json => q(SELECT count(*), sum((j->>'g')::int) FROM pool_query_json('srv',
		'select g from generate_series(1, 10000000) g') j));
foreach my $function (sort keys %query)
{
	my $before = memory($session->pid);
	my $most = 0;

	$session->begin($query{$function});
	while ($session->busy)
	{
		my $now = memory($session->pid);

		$most = $now if $now > $most;
		select undef, undef, undef, 0.05;
	}
	is($session->result->{out}, '10000000|50000005000000', "$function returns ten million rows");
	cmp_ok($most - $before, '<', 50, "$function needs a bounded memory for them: $most MB");
}
cmp_ok(memory(worker_pid($local)), '<', 50, 'so does the worker');
answers('ten million rows');

#
# Fields: the largest that there can be, and a larger one
#
foreach my $size (1_073_741_800, 2_147_483_600)
{
	my $before = memory($session->pid);
	my $answer = $session->query("SELECT length(t) FROM pool_query('srv',"
		  . " 'select repeat(''x'', $size)') AS r(t text)", 300);

	is("$answer->{state} $answer->{out}", $size < 2**30 ? "00000 $size" : '54000 ',
		"a field of $size bytes is an answer, or the remote's error")
	  or diag($answer->{err});
	answers("a field of $size bytes");
	cmp_ok(memory($session->pid) - $before, '<', 50, 'the memory for it is given back');
}

$_->quit foreach $session, $other;
at_rest($local, $remote, 'at the end');
no_crash($local, $remote);

done_testing();

# 105_long_results.pl
#	Results as large as they can be: ten million rows, a field of almost a gigabyte,
#	one that no PostgreSQL can hold; and an error in the middle of the rows that is
#	caught ten thousand times.  Memory stays bounded, or is given back, and what
#	comes after has its own answer.
#
# Runs in the plain round only.
# Runs with --long only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PostgreSQL::Test::Utils;
use Test::More;

my ($local, $remote) = start_pair(max_size => 2);
my $session = session($local);
my $other = session($local);

# memory(pid): what a process has for itself, in MB
sub memory
{
	my ($pid) = @_;
	my ($kb) = slurp_file("/proc/$pid/status") =~ /^RssAnon:\s+(\d+) kB/m;

	return $kb / 1024;
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
# Fields: the largest that can be sent, and larger ones
#
foreach my $size (500_000_000, 1_000_000_000, 1_073_741_000, 1_073_741_800, 2_147_483_600)
{
	my $before = memory($session->pid);
	my $answer = $session->query("SELECT length(t) FROM pool_query('srv',"
		  . " 'select repeat(''x'', $size)') AS r(t text)", 300);

	like("$answer->{state} $answer->{out}", qr/^(00000 $size|54000 |53200 |08006 )$/,
		"a field of $size bytes is an answer or a clear error: $answer->{state}")
	  or diag($answer->{err});
	note $answer->{err};
	answers("a field of $size bytes");
	cmp_ok(memory($session->pid) - $before, '<', 50, 'the memory for it is given back');
}

#
# An error at row 500, in the input function of a type, caught ten thousand times
#
$session->begin(<<'SQL');
DO $$
DECLARE
	caught int := 0;
	wrong int := 0;
	a int;
BEGIN
	FOR i IN 1 .. 10000 LOOP
		BEGIN
			PERFORM * FROM pool_query('srv',
				'select case i when 500 then ''x'' else i::text end
					from generate_series(1, 1000) i') AS t(a int);
		EXCEPTION WHEN invalid_text_representation THEN
			caught := caught + 1;
		END;
		SELECT t.a INTO a FROM pool_query('srv', 'select $1', i) AS t(a int);
		wrong := wrong + (a IS DISTINCT FROM i)::int;
	END LOOP;
	RAISE NOTICE 'caught %, wrong %', caught, wrong;
END $$;
SQL
my $served = 0;
while ($session->busy)
{
	my $answer = $other->query(select_42('srv'));

	$served++ if $answer->{out} eq '42';
	last if $answer->{out} ne '42';
}
cmp_ok($served, '>', 10, 'another session is served meanwhile');
like($session->result(500)->{err}, qr/caught 10000, wrong 0/,
	'an error at row 500 is caught ten thousand times, and each next answer is right');
answers('ten thousand errors');

$_->quit foreach $session, $other;
at_rest($local, $remote, 'at the end');
no_crash($local, $remote);

done_testing();

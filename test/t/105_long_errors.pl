# 105_long_errors.pl
#	An error in the middle of the rows is caught ten thousand times, and each time the
#	next statement has its own answer, while another session is served beside it.
#
# Runs in the plain round only.
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

# At row 500, in the input function of a type
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
is(stat_of($local, 'closed_error'), '10000', 'each has cost a connection');

$_->quit foreach $session, $other;
at_rest($local, $remote, 'at the end');
no_crash($local, $remote);

done_testing();

# 115_spin.pl
#	A statement that asks again and again looks for the answer before it sleeps: when
#	it does, for how long, and what ends it (src/session/spin.c, with a clock of the
#	test); and that it can be interrupted as ever.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $dir = PostgreSQL::Test::Utils::tempdir;
my ($include) = run_command([ 'pg_config', '--includedir-server' ]);
system_or_bail('cc', '-O1', '-D_GNU_SOURCE', "-I$include", "-I$FindBin::RealBin/../../src",
	'-o', "$dir/spin", "$FindBin::RealBin/spin.c");
my ($output, $errors) = run_command([ "$dir/spin" ]);

# A look takes 1 us of that clock.
is("$output\n$errors", <<'OUTPUT', 'when it looks, and for how long');
first: not ready, looks 0, yields 0, us 0
second: ready, looks 30, yields 29, us 30
third: ready, looks 1, yields 0, us 1
late: not ready, looks 100, yields 99, us 100
pause: 16
after the pause: ready, looks 30, yields 29, us 30
deadline: not ready, looks 40, yields 39, us 40
pause: 16
others: not ready, looks 2, yields 1, us 52
pause: 16
answered meanwhile: ready, looks 2, yields 1, us 52
answered meanwhile, again: ready, looks 2, yields 1, us 52
interrupt: not ready, looks 5, yields 5, us 5
interrupted before: not ready, looks 0, yields 0, us 0
after the interrupt: ready, looks 30, yields 29, us 30
next statement: not ready, looks 0, yields 0, us 0
next statement, second: ready, looks 30, yields 29, us 30
off: not ready, looks 0, yields 0, us 0
shorter: not ready, looks 20, yields 19, us 20
OUTPUT

#
# In a server: the same rows, and the statement can be ended.
#
my $remote = start_remote();
my $local = start_local();
my $name = new_server($local, $remote, { max_size => 1 });
my $session = session($local);

# loop(count, query): asks so often
sub loop
{
	my ($count, $query) = @_;

	return 'SELECT count(*), count(DISTINCT x), sum(x) FROM generate_series(1, ' . $count
	  . ") i, LATERAL pool_query('$name', '$query', i) AS t(x int)";
}

foreach my $time ('0', '100us', '10ms')
{
	$session->query("SET pool.spin_time = '$time'");
	is($session->query(loop(2000, 'select $1::int'))->{out}, '2000|2000|2001000',
		"spin_time $time: each answer is that of its question");
	is($session->query("SET statement_timeout = '300ms'; " . loop(1_000_000_000, 'select $1::int'), 60)->{state},
		'57014', "spin_time $time: statement_timeout");
	$session->query('RESET statement_timeout');
}
foreach my $wrong ('-1', '11ms', 'x')
{
	is($session->query("SET pool.spin_time = '$wrong'")->{state}, '22023', "spin_time $wrong");
}
$session->begin(loop(1_000_000_000, 'select $1::int'));
wait_for_value($local, "SELECT acquires > 100 FROM pool_stats WHERE server = '$name'", 't',
	'a statement loops');
sql($local, 'SELECT pg_terminate_backend(' . $session->pid . ')');
is($session->result->{state}, '57P01', 'it can be terminated');

settled($local);
no_crash($local, $remote);
done_testing();

# 062_refused_reset.pl
#	A remote that answers the reset of a connection with an error: that error is
#	the outcome, with its SQLSTATE, for one connection and not for hundreds; and
#	a connection that is lost in the reset is still replaced.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use Test::More;

my ($local, $remote) = start_pair(reset_query => 'select 1/0', max_size => 2,
	breaker_timeout => '1min');
my $session = session($local, options => '-c statement_timeout=50s');
my $refused = qr/The remote did not accept the reset of the connection: division by zero/;

# connects(): how many connections the pool has made so far
sub connects
{
	return sql($local, 'SELECT coalesce(sum(connects), 0) FROM pool_stats');
}

# refused(statement, what): tests of a statement whose reset is refused; returns
# the error
sub refused
{
	my ($statement, $what) = @_;
	my $before = connects();
	my $answer = $session->query($statement);

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is($answer->{state}, '22012', "$what gets the remote's SQLSTATE when the reset is refused");
	like($answer->{err}, $refused, "$what gets an error that says that the reset was refused");
	cmp_ok(connects() - $before, '<=', 1, "$what takes one connection when the reset is refused");
	return $answer->{err};
}

unlike(refused(q(SELECT pool_exec('srv', 'select 1; select 2')), 'a string of statements'),
	qr/may have been executed/, 'a string of statements is not sent after a refused reset');
unlike(refused(q(SELECT pool_query('srv', 'select 1')), 'a SELECT'),
	qr/may have been executed/, 'a SELECT that went out with a refused reset was skipped');
unlike(refused(q(SELECT pool_exec('srv', 'create table left_behind ()')), 'a command'),
	qr/may have been executed/, 'a command is not sent after a refused reset');

# On a lease: there is no connection for what follows.
my $lease = $session->query(q(SELECT pool_acquire('srv', hold => true)))->{out};
refused("SELECT pool_exec($lease, 'select 1; select 2')", 'a string of statements on a lease');
is($session->query("SELECT pool_exec($lease, 'select 1')")->{state}, '08003',
	'a lease whose reset was refused has no connection any more');
is($session->query("SELECT pool_release($lease)")->{state}, '00000',
	'a lease whose reset was refused can be released');
is(stat_of($local, 'closed_reset_failed = closed'), 't',
	'connections whose reset was refused are closed for that reason');

# A validation before use is a proof as well.
my $twice = q(SELECT pool_exec('srv', 'select 1; select 2'));
sql($local, q(ALTER SERVER srv OPTIONS (ADD validate_after_idle '0', ADD health_check_interval '0',
	SET reset_query 'DISCARD ALL')));
is($session->query($twice)->{state}, '00000',
	'a string of statements runs when the reset is accepted');
sql($local, q(ALTER SERVER srv OPTIONS (SET reset_query 'select 1/0')));
sql($local, q(SELECT pool_prewarm('srv', 1)));
refused($twice, 'a string of statements that begins with a validation');

# A reset that ends the session of the remote, once, is answered with an error,
# too; but another connection serves.
sql($remote, <<'SQL', db => 'far', user => 'postgres');
CREATE SEQUENCE resets;
GRANT USAGE ON SEQUENCE resets TO app;
CREATE FUNCTION end_once() RETURNS bool LANGUAGE sql
AS $$SELECT nextval('resets') = 1 AND pg_terminate_backend(pg_backend_pid())$$;
SQL
sql($local, q(ALTER SERVER srv OPTIONS (SET reset_query 'select end_once()')));
is($session->query($twice)->{state}, '00000',
	'a connection whose session the remote ends in the reset is replaced');

$session->quit;
settled($local);
remote_count($local, $remote);
no_crash($local, $remote);

done_testing();

# Loops.pm
#	Sessions that ask for one row after the other, in one statement, until they are
#	told to stop; and a crowd of those that run a script.

package PoolTest::Loops;

use strict;
use warnings;

use Exporter qw(import);
use IPC::Run;
use PoolTest;

our @EXPORT = qw(create_loops start_loop begin_loop stop_loops start_crowd);

# create_loops(local): what the sessions run: asks(server, n) asks n times, or, for
# 0, until it is to stop, and returns how often
sub create_loops
{
	my ($local) = @_;

	sql($local, <<'SQL');
CREATE TABLE stop (x int);
CREATE FUNCTION asks(server text, n int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	i int := 0;
	answer int;
BEGIN
	WHILE CASE WHEN n > 0 THEN i < n ELSE NOT EXISTS (SELECT FROM stop) END LOOP
		i := i + 1;
		SELECT t INTO answer FROM pool_query(server, 'select ' || i) AS r(t int);
		IF answer IS DISTINCT FROM i THEN
			RAISE 'asked for %, and got %', i, answer;
		END IF;
	END LOOP;
	RETURN i;
END $$;
SQL
	return;
}

# start_loop(local, server, before): a session that asks until it is told to stop;
# "before" is what it does first
sub start_loop
{
	my ($local, $server, $before) = @_;
	my $session = session($local);

	$session->query($before) if $before;
	begin_loop($local, $server, $session);
	return $session;
}

# begin_loop(local, server, session): the session asks when this returns
sub begin_loop
{
	my ($local, $server, $session) = @_;
	my $active = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND pid = ";

	$session->begin("SELECT asks('$server', 0)");
	wait_until(60, sub { sql($local, $active . $session->pid) == 1 });
	return;
}

# stop_loops(local, sessions): how many rows each of them got, or "SQLSTATE: error"
sub stop_loops
{
	my ($local, @sessions) = @_;
	my @results;

	sql($local, 'INSERT INTO stop VALUES (1)');
	@results = map { $_->result } @sessions;
	$_->quit foreach @sessions;
	sql($local, 'DELETE FROM stop');
	return map { $_->{state} eq '00000' ? $_->{out} : "$_->{state}: $_->{err}" } @results;
}

# start_crowd(local, clients, script, out, err): so many sessions that run the script
# of pgbench once; its output and errors go to these references
sub start_crowd
{
	my ($local, $clients, $script, $out, $err) = @_;

	return IPC::Run::start(
		[
			'bash', '-c', 'ulimit -n $(ulimit -Hn); exec "$@"', 'bash',
			'pgbench', '-n', '-c', $clients, '-j', 4, '-t', 1, '-f', $script,
			'-h', $local->host, '-p', $local->port, 'postgres'
		],
		'>', $out, '2>', $err);
}

1;

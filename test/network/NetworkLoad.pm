# NetworkLoad.pm
#	What works while the network fails: sessions that ask for answers by way of a
#	server until they are told to stop, and what they met, in the table "met": the
#	kind of statement, its SQLSTATE and message, when it began, how long it took.

package NetworkLoad;

use strict;
use warnings;

use Exporter qw(import);
use PoolTest;
use Test::More;
use Time::HiRes qw(usleep);

our @EXPORT = qw(
  create_load start_load served_since fault_lasts stop_load
  wrong_answers errors_met longest_time near_goes_on inserts_happened load_report
);

my $node;

sub create_load
{
	($node, my $remote) = @_;

	sql($remote, 'CREATE TABLE kept (token text PRIMARY KEY)', db => 'far', user => 'app');
	sql($node, $_) foreach _tables(), _ask(), _work();
	return;
}

sub _tables
{
	return <<'SQL';
CREATE SEQUENCE tokens;
CREATE UNLOGGED TABLE met (pid int, kind text, state text, message text, began timestamptz,
	seconds float8);
CREATE UNLOGGED TABLE answered (token text);
CREATE UNLOGGED TABLE stop (now bool);

CREATE FUNCTION compare(token text, got text, expected text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF got IS DISTINCT FROM expected THEN
		RAISE WARNING 'WRONG ANSWER to "%": "%"', token, left(got, 500);
		RAISE EXCEPTION 'wrong answer';
	END IF;
END $$;
SQL
}

sub _ask
{
	return <<'SQL';
CREATE FUNCTION ask(server text, kind text, token text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	got text;
	large text;
	lease bigint;
BEGIN
	CASE kind
	WHEN 'acquire' THEN
		PERFORM pool_release(pool_acquire(server));
	WHEN 'near' THEN				-- sometimes the worker has to connect for it
		IF random() < 0.2 THEN
			PERFORM pool_reconnect(server);
		END IF;
		PERFORM compare(token, (SELECT t FROM pool_query(server, 'select $1::text', token)
								AS r(t text)), token);
	WHEN 'one' THEN
		PERFORM compare(token, (SELECT t FROM pool_query(server, 'select $1::text', token)
								AS r(t text)), token);
	WHEN 'rows' THEN
		SELECT string_agg(t, ',') INTO got
			FROM pool_query(server,
				'select $1::text || ''/'' || g from generate_series(1, 300) g', token) AS r(t text);
		PERFORM compare(token, got, (SELECT string_agg(token || '/' || g, ',')
									 FROM generate_series(1, 300) g));
	WHEN 'large' THEN
		large := repeat(token, 500);
		SELECT t INTO got
			FROM pool_query(server, 'select $1 || md5($2)', token, large) AS r(t text);
		PERFORM compare(token, got, token || md5(large));
	WHEN 'insert' THEN				-- must happen once
		got := pool_exec(server, 'insert into kept values ($1)', token);
		PERFORM compare(token, got, '1');
		INSERT INTO answered VALUES (token);
	WHEN 'lease' THEN
		lease := pool_acquire(server);
		PERFORM pool_exec(lease, 'begin');
		PERFORM pool_exec(lease, 'insert into kept values ($1)', 'undone/' || token);
		SELECT t INTO got FROM pool_query(lease, 'select $1::text', token) AS r(t text);
		PERFORM compare(token, got, token);
		PERFORM pool_release(lease);
	END CASE;
END $$;
SQL
}

sub _work
{
	return <<'SQL';
CREATE PROCEDURE work(server text) LANGUAGE plpgsql AS $$
DECLARE
	kinds text[] := ARRAY['acquire', 'one', 'one', 'rows', 'large', 'insert', 'lease'];
	kind text;
	began timestamptz;
	code text;
	said text;
BEGIN
	WHILE NOT EXISTS (SELECT FROM stop) LOOP
		kind := CASE WHEN server = 'near' THEN 'near' ELSE
			kinds[1 + floor(random() * array_length(kinds, 1))] END;
		began := clock_timestamp();
		code := '00000';
		said := '';
		BEGIN
			PERFORM ask(server, kind,
				server || '/' || pg_backend_pid() || '/' || nextval('tokens'));
		EXCEPTION WHEN query_canceled OR OTHERS THEN
			code := SQLSTATE;
			GET STACKED DIAGNOSTICS said = PG_EXCEPTION_DETAIL;
			said := SQLERRM || coalesce(nullif('; ' || said, '; '), '');
		END;
		INSERT INTO met VALUES (pg_backend_pid(), kind, code, said, began,
			extract(epoch FROM clock_timestamp() - began));
		COMMIT;
		PERFORM pg_sleep(CASE WHEN server = 'near' OR code <> '00000' THEN 0.05 ELSE 0.005 END);
	END LOOP;
END $$;
SQL
}

# start_load(local, count, server...): so many sessions for each server; returns
# them.  Two more are busy with the near remote.
my @near;

sub start_load
{
	my ($local, $count, @servers) = @_;
	my @sessions;

	sql($local, 'TRUNCATE met, answered, stop');
	foreach my $server (@servers)
	{
		push @sessions, _at_work($local, $server) foreach 1 .. $count;
	}
	@near = map { _at_work($local, 'near') } 1 .. 2;
	return @sessions;
}

sub _at_work
{
	my ($local, $server) = @_;
	my $session = session($local, options => '-c client_min_messages=error');

	$session->begin("CALL work('$server')");
	return $session;
}

# served_since(epoch): how many sessions have a good answer to what they asked then
# or later; the near ones do not count
sub served_since
{
	my ($epoch) = @_;

	return sql($node, "SELECT count(DISTINCT pid) FROM met WHERE state = '00000'"
		  . " AND kind <> 'near' AND began > to_timestamp($epoch)");
}

# fault_lasts(local, seconds): of the server's clock
sub fault_lasts
{
	my ($local, $seconds) = @_;

	sql($local, "SELECT pg_sleep($seconds)");
	return;
}

# stop_load(local, session...): how many of them, and of the near ones, do not end
sub stop_load
{
	my ($local, @sessions) = @_;
	my $stuck = 0;

	sql($local, 'INSERT INTO stop VALUES (true)');
	foreach my $session (@sessions, @near)
	{
		my $result = $session->result(40);

		next if $result->{state} eq '00000';
		diag("$result->{state} $result->{err}");
		$stuck++;
	}
	$_->quit foreach @sessions, @near;
	return $stuck;
}

my $offset = 0;

# wrong_answers(local): what the log has of them since this was asked last
sub wrong_answers
{
	my ($local) = @_;
	my $wrong = join "\n", log_since($local, $offset) =~ /WRONG ANSWER.*/g;

	$offset = log_offset($local);
	return $wrong;
}

# errors_met(local): SQLSTATE, kind and message of each kind of error
sub errors_met
{
	my ($local) = @_;

	return map { [ split /\|/, $_, 3 ] } split /\n/, sql($local, <<'SQL');
SELECT DISTINCT state, kind, translate(message, E'\n', ' ') FROM met WHERE state <> '00000'
SQL
}

# longest_time(local, condition): in seconds
sub longest_time
{
	my ($local, $condition) = @_;

	return sql($local, "SELECT coalesce(max(seconds), 0) FROM met WHERE $condition");
}

# near_goes_on(local): tests.  One statement in twenty may be slow, since the
# machine may be busy; what keeps a worker waiting takes longer than two seconds.
sub near_goes_on
{
	my ($local) = @_;
	my ($all, $slow, $bad, $most) = split /\|/, sql($local, <<'SQL');
SELECT count(*), count(*) FILTER (WHERE seconds > 1), count(*) FILTER (WHERE state <> '00000'),
	coalesce(max(seconds), 99) FROM met WHERE kind = 'near'
SQL

	is($bad, 0, 'the other pool has no errors')
	  or diag(sql($local, q(SELECT DISTINCT state, message FROM met WHERE kind = 'near')));
	cmp_ok($all, '>', 10, 'the other pool is at work');
	cmp_ok($slow, '<=', $all / 20, 'the other pool answers within a second');
	return cmp_ok($most, '<', 2, 'the other pool never waits for this one');
}

# inserts_happened(local, remote): tests: what was answered is there, and what was
# not committed is not
sub inserts_happened
{
	my ($local, $remote) = @_;
	my %kept = map { $_ => 1 } split /\n/, sql($remote, 'SELECT token FROM kept', db => 'far');
	my @answered = split /\n/, sql($local, 'SELECT token FROM answered');

	is(scalar(grep { !$kept{$_} } @answered), 0, 'what was answered has happened');
	is(scalar(grep { /^undone/ } keys %kept), 0, 'what was not committed has not happened');
	sql($remote, 'TRUNCATE kept', db => 'far');
	return;
}

# load_report(local): one line
sub load_report
{
	my ($local) = @_;

	return sql($local, <<'SQL');
SELECT string_agg(format('%s %s: %s (%s s)', kind, state, n, round(most::numeric, 1)), ', '
	ORDER BY kind, state)
FROM (SELECT kind, state, count(*) AS n, max(seconds) AS most FROM met GROUP BY 1, 2) m
SQL
}

1;

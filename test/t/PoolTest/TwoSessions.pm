# TwoSessions.pm
#	Two sessions that use one connection in turn, through the proxy: one of the test,
#	and one that the first one has by dblink, so that hundreds of cases take seconds.
#	What they ask for are SQL functions that tell what came of it.
#
#	ask(server, token)		three rows with the token, from a connection on which
#							nothing was left behind: "right", an SQLSTATE, or what is
#							wrong with them
#	leave(server)			leaves something behind, for the worker to reset
#	other(call)				the same in the other session
#	proxy(line)				tells the proxy
#	wrong(server)			what is wrong when a case is over: the proxy is told to do no
#							more, this session asks once more, another pool answers, and
#							nothing is leased or waited for

package PoolTest::TwoSessions;

use strict;
use warnings;

use Exporter qw(import);
use PoolTest;
use PoolTest::Proxy;

our @EXPORT = qw(start_two_sessions end_two_sessions);

# For pools behind the proxy: one connection, and no pause before another one
my %options = (
	max_size => 1,
	retry_delay => '1ms',
	retry_max_delay => '2ms',
	breaker_threshold => 0,
	acquire_timeout => '30s',
	query_timeout => '30s');

# start_two_sessions(servers): by name, with their options besides; returns the local
# server, the remote, the proxy, the session and the other one's process
sub start_two_sessions
{
	my (%servers) = @_;
	my $remote = start_remote();
	my $local = start_local();
	my $proxy = start_proxy($remote);

	create_server($local, $_, $remote,
		options => { %options, port => $proxy->{port}, %{ $servers{$_} } })
	  foreach sort keys %servers;
	create_server($local, 'beside', $remote, options => { max_size => 1 });
	create_proxy_control($local, $proxy);
	sql($local, 'CREATE EXTENSION dblink');
	_create_functions($local);

	my $session = session($local);
	my $address = 'host=' . $local->host . ' port=' . $local->port;
	my $pid = $session->query("SELECT dblink_connect('other', 'dbname=postgres $address');"
		  . q(SELECT other('pg_backend_pid()::text')))->{out};
	return ($local, $remote, $proxy, $session, $pid =~ /(\d+)/);
}

# end_two_sessions(local, remote, proxy, session): ends them, and sees that all is
# accounted for and nothing has crashed
sub end_two_sessions
{
	my ($local, $remote, $proxy, $session) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	settled($local);
	remote_count($local, $remote);
	$session->quit;
	stop_proxy($proxy);
	no_crash($local, $remote);
	return;
}

sub _create_functions
{
	my ($local) = @_;

	sql($local, <<'SQL');
CREATE FUNCTION ask(server text, token text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	got text;
BEGIN
	SELECT string_agg(t || l, ' ' ORDER BY t) INTO got FROM pool_query(server,
		'select $1::text || g, coalesce(current_setting(''was.here'', true), '''')
			from generate_series(1, 3) g', token) AS r(t text, l text);
	RETURN CASE WHEN got = format('%1$s1 %1$s2 %1$s3', token) THEN 'right'
		   ELSE coalesce('WRONG ' || got, 'NOTHING') END;
EXCEPTION WHEN query_canceled OR OTHERS THEN
	RETURN sqlstate;
END $$;

CREATE FUNCTION leave(server text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	lease bigint := pool_acquire(server);
BEGIN
	PERFORM pool_query(lease, 'select set_config(''was.here'', ''1'', false)');
	PERFORM pool_release(lease);
	RETURN 'right';
EXCEPTION WHEN query_canceled OR OTHERS THEN
	RETURN sqlstate;
END $$;

CREATE FUNCTION other(call text) RETURNS text LANGUAGE sql AS $$
	SELECT x FROM dblink('other', 'SELECT ' || call) AS t(x text)
$$;

CREATE FUNCTION wrong(server text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	what text;
BEGIN
	PERFORM proxy('clear');
	IF ask(server, 'end') <> 'right' THEN
		RETURN 'the session is not served again';
	ELSIF (SELECT t <> 42 FROM pool_query('beside', 'select 42') AS r(t int)) THEN
		RETURN 'the other pool does not answer';
	END IF;
	SELECT string_agg(to_jsonb(s)::text, ' ') INTO what FROM pool_stats_all() s
	WHERE active <> 0 OR waiting <> 0 OR acquires <> releases + lost
		OR connects <> closed + open OR open > 1;
	RETURN what;
END $$;
SQL
	return;
}

1;

# 111_reset_parts.pl
#	The parts of DISCARD ALL that stand in for it, beside DISCARD ALL itself:
#	everything that a session can leave behind is left, by functions, so that the
#	worker does not reset the connection; the next session looks what it finds.
#	Settings that the remote reports are not among it: after a change of one of them
#	the worker resets the connection, always by DISCARD ALL.
#
# Runs in the plain round only.
# Needs statement_cache.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::Prepared;
use Test::More;

my $remote = start_remote(log_statement => 'all');
my $local = start_local();
my $cache = PoolTest::Prepared->new($local, $remote);
my ($one, $two) = (session($local), session($local));

$remote->safe_psql('far', <<'SQL', connstr => $remote->connstr('far') . ' user=app');
CREATE SEQUENCE public.numbers CACHE 10;
CREATE TABLE public.filled (a int);
CREATE FUNCTION public.leave(what text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE what;
	RETURN 'left';
END $$;

-- What a session is, as far as it can be seen; the settings that begin with
-- "transaction" are those of this moment.
CREATE FUNCTION public.look() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	seen text;
	last text;
BEGIN
	BEGIN
		last := lastval();
	EXCEPTION WHEN object_not_in_prerequisite_state THEN
		last := 'none';
	END;
	SELECT string_agg(what, '; ' ORDER BY what) INTO seen FROM (
		SELECT name || '=' || setting FROM pg_settings
		WHERE (setting IS DISTINCT FROM reset_val OR source = 'session')
			AND name NOT IN ('application_name', 'in_hot_standby')
		UNION ALL SELECT name || '=' || setting FROM pg_settings WHERE name LIKE 'transaction%'
		UNION ALL SELECT 'own ' || coalesce(nullif(current_setting('own.setting', true), ''), 'none')
		UNION ALL SELECT 'users ' || session_user || ' ' || current_user
		UNION ALL SELECT 'cursor ' || name FROM pg_cursors WHERE name <> '' AND is_holdable
		UNION ALL SELECT 'listens ' || c FROM pg_listening_channels() c
		UNION ALL SELECT 'temporary ' || relname FROM pg_class
			WHERE relnamespace = pg_my_temp_schema()
		UNION ALL SELECT 'lock ' || mode FROM pg_locks
			WHERE pid = pg_backend_pid() AND locktype = 'advisory'
		UNION ALL SELECT 'last value ' || last) AS s(what);
	RETURN seen;
END $$;
SQL
$remote->safe_psql('postgres', 'GRANT pg_monitor TO app');

my %left = (
	'settings' => [ map { "set_config('$_->[0]', '$_->[1]', false)" }
		  [ 'work_mem', '123kB' ], [ 'own.setting', 'secret' ], [ 'statement_timeout', '1h' ],
		  [ 'lock_timeout', '1h' ], [ 'plan_cache_mode', 'force_generic_plan' ],
		  [ 'array_nulls', 'off' ], [ 'transform_null_equals', 'on' ], [ 'bytea_output', 'escape' ],
		  [ 'extra_float_digits', '-15' ], [ 'row_security', 'off' ],
		  [ 'client_min_messages', 'error' ] ],
	'transactions that are serializable' =>
	  [ q(set_config('default_transaction_isolation', 'serializable', false)) ],
	'transactions that are deferrable' =>
	  [ q(set_config('default_transaction_deferrable', 'on', false)) ],
	'transactions that are both' => [
		map { "set_config('default_transaction_$_->[0]', '$_->[1]', false)" }
		  [ 'deferrable', 'on' ], [ 'isolation', 'serializable' ] ],
	'a role' => [q(leave('SET ROLE pg_monitor'))],
	'a session user' => [q(leave('SET SESSION AUTHORIZATION app; SET ROLE pg_monitor'))],
	'a temporary table' => [q(leave('CREATE TEMPORARY TABLE left_table AS SELECT 1 AS a'))],
	'a temporary table that is filled by the next one' =>
	  [q(leave('CREATE TEMPORARY TABLE filled (a int)'))],
	'a temporary sequence' => [q(leave('CREATE TEMPORARY SEQUENCE left_sequence'))],
	'the last value of a sequence' => [q(nextval('numbers'))],
	'advisory locks' => [ 'pg_advisory_lock(1)', 'pg_advisory_lock_shared(2)', 'pg_advisory_lock(1)' ],
	'a channel' => [q(leave('LISTEN left_channel'))],
	'a cursor with hold' => [q(leave('DECLARE left_cursor CURSOR WITH HOLD FOR SELECT 1'))]);

# What the second session finds, its statement together with the reset, what it
# writes, and in how many of these two handovers the reset went in parts
sub find
{
	my ($server, $leave) = @_;
	my $offset = log_offset($remote);

	foreach (1 .. 2)
	{
		$cache->run($_, $server, q('select true')) foreach $one, $two;
	}
	$cache->run($one, $server, "\$_\$select $_ -- a text\$_\$")
	  foreach @$leave;
	my $offset2 = log_offset($remote);
	my $found = $cache->run($two, $server, q('select public.look() || 1'));

	# A command that changes something, in a transaction that can.
	$cache->run($one, $server, "\$_\$select $_ -- a text\$_\$") foreach @$leave;
	my $written =
	  $cache->run($two, $server, q('insert into filled values ($1) returning a', 1));

	return ($found, $written, log_count($remote, qr/execute pool_\w+: RESET ALL/, $offset2));
}

$cache->server('whole', max_size => 1, statement_cache => 0);
$cache->server('parts', max_size => 1);
foreach my $what (sort keys %left)
{
	my @whole = find('whole', $left{$what});
	my @parts;

	is($whole[2], 0, "DISCARD ALL is one command: $what");
	$cache->attempt(
		"the reset goes in parts: $what", sub {
			@parts = find('parts', $left{$what});
			return $parts[2] > 1;
		});
	is($parts[0], $whole[0], "the parts leave what DISCARD ALL leaves: $what");
	is($parts[1], 1, "and the next statement can write: $what");
}

# A transaction that is serializable, deferrable and read-only waits for others that
# are serializable, as DISCARD ALL does; the one of the parts is not of that kind.
$remote->safe_psql('postgres', 'ALTER ROLE app SET default_transaction_read_only = on');
$cache->server('reader', max_size => 1);
my $other = session($remote, db => $PoolTest::remote_db);
$other->query('BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT 1');
$two->query(q(SET statement_timeout = '5s'));
$cache->attempt(
	'the parts wait for no transaction', sub {
		foreach (1 .. 3)
		{
			$cache->run($_, 'reader', q('select true')) foreach $one, $two;
		}
		my $offset = log_offset($remote);
		$cache->run($one, 'reader', "\$_\$select $_ -- a text\$_\$")
		  foreach @{ $left{'transactions that are both'} };
		return $cache->run($two, 'reader', q('select true')) eq 't'
		  && log_count($remote, qr/execute pool_\w+: RESET ALL/, $offset) > 0;
	});
$two->query('RESET statement_timeout');
$other->quit;
$remote->safe_psql('postgres', 'ALTER ROLE app RESET default_transaction_read_only');
unlike((find('parts', $left{settings}))[0],
	qr/work_mem|secret/, 'and that is nothing');

# A reset of one's own is over before the statement's transaction begins.
$cache->server('own', max_size => 1, reset_query => 'RESET ALL');
foreach my $leave (values %left)
{
	next if $leave->[0] !~ /default_transaction/;
	like((find('own', $leave))[0], qr/transaction_isolation=read committed/,
		"RESET ALL is over before the statement: $leave->[0]");
}

# It is seen that something was left: nobody came in between.
$cache->attempt(
	'what is left can be seen', sub {
		return $cache->run($one, 'parts', 
			q('select set_config($1, $2, false)', 'own.setting'::text, 'secret'::text)) eq 'secret'
		  && $cache->run($one, 'parts', q('select public.look()')) =~ /own secret/;
	});

$_->quit foreach $one, $two;
settled($local);
remote_count($local, $remote);
no_crash($local, $remote);

done_testing();

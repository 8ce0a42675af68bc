# 114_call_site.pl
#	What a call keeps for the next one at its place in a query is never used for
#	other columns or other types than it was looked up for: columns that the remote
#	describes in another way, types that are changed, made anew or mean another type
#	between two calls, a call inside a call, an error in the middle.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::HostileServer;
use PoolTest::Wire;
use Test::More;

my $remote = start_remote();
my $local = start_local();
my $srv = new_server($local, $remote, { max_size => 3 });
my $session = session($local);

# calls(column, statement...): a LATERAL join, with a call for each of these
sub calls
{
	my ($column, @statements) = @_;
	my $array = join ', ', map { "\$q\$$_\$q\$" } @statements;

	return $session->query("SELECT string_agg(x::text, ' ') FROM unnest(ARRAY[$array])
		WITH ORDINALITY AS s(q, n), LATERAL pool_query('$srv', q) AS t(x $column)");
}

# gives(query's result, rows, name) and refuses(query's result, SQLSTATE, name)
sub gives
{
	my ($result, $rows, $name) = @_;

	is("$result->{state} $result->{out}", "00000 $rows", $name);
	return;
}

sub refuses
{
	my ($result, $state, $name) = @_;

	is($result->{state}, $state, $name);
	return;
}

#
# Columns that differ from those of the call before
#
gives(calls('text', "select 1", "select 'b'", "select 1.5", "select 2"), '1 b 1.5 2',
	'each call has columns of its own types');
refuses(
	calls('timestamp', "select timestamp '2020-01-01' as a", "select timestamptz '2020-01-01' as a"),
	'42804', 'a type that would be misread is refused in a later call, too');
refuses(calls('int', 'select 1', 'select 1, 2'), '42804', 'and so are more columns');
refuses(calls('int', 'select 1', 'select'), '42804', 'and fewer');
my $named = calls('int', "select '1' as good", "select 'x' as bad");
refuses($named, '22P02', 'a value that is none is refused');
like($named->{err}, qr/column 1 "bad" of the result/, 'in the column of its own call');
gives(calls('int', ('select count(*) from pg_class where false') x 3), '0 0 0',
	'the session goes on');

# After a large result the next one comes in binary format.
gives($session->query("SELECT sum(x) FROM generate_series(1, 4) AS n,
	LATERAL pool_query('$srv', 'select g from generate_series(1, 1000) as g where \$1 > 0', n)
	AS t(x int)"),
	4 * 500500, 'text and binary format follow each other');

#
# Types that a call changes before the next one
#
$session->query(<<'SQL');
CREATE DOMAIN small AS int;
CREATE TYPE pair AS (a int, b int);
CREATE FUNCTION third(n int, statement text) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
	IF n = 3 THEN
		EXECUTE statement;
	END IF;
	RETURN n;
END $$;
SQL
my $alter = 'ALTER DOMAIN small ADD CONSTRAINT small CHECK (VALUE < 3)';
my $series = 'FROM generate_series(1, 3) AS n, LATERAL';
gives($session->query("SELECT sum(x) $series pool_query('$srv', 'select \$1', n) AS t(x small)"),
	'6', 'values of a domain');
refuses(
	$session->query("SELECT sum(x) $series
		pool_query('$srv', 'select \$1', third(n, '$alter')) AS t(x small)"),
	'23514', 'a constraint that comes between two calls holds');
$session->query("$alter NOT VALID; ALTER DOMAIN small VALIDATE CONSTRAINT small");
gives(
	$session->query("SELECT sum(x) $series pool_query('$srv', 'select \$1',
		third(n, 'ALTER DOMAIN small DROP CONSTRAINT small')) AS t(x small)"),
	'6', 'and one that goes does not');
$alter = 'ALTER TYPE pair ADD ATTRIBUTE c int';
refuses(
	$session->query("SELECT count(x) $series pool_query('$srv', 'select ''(1,2)''::text || \$1',
		left('', third(n, '$alter'))) AS t(x pair)"),
	'22P02', 'a row type that has another column by then is read with that');

#
# Names that mean another type, between two executions of a prepared statement
#
$session->query(<<"SQL");
CREATE SCHEMA one; CREATE SCHEMA two;
CREATE DOMAIN one.thing AS int; CREATE DOMAIN two.thing AS text;
SET search_path = one, public;
PREPARE things(text) AS SELECT x::text, pg_typeof(x)::text FROM pool_query('$srv', \$1) AS t(x thing);
SQL
gives($session->query("EXECUTE things('select 7')"), '7|thing', 'a type by its name');
$session->query('SET search_path = two, public');
gives($session->query("EXECUTE things('select ''seven''')"), 'seven|thing',
	'another one when the search path is another one');
$session->query('DROP TYPE two.thing; CREATE TYPE two.thing AS ENUM (\'eight\')');
my $old = $session->query("EXECUTE things('select ''seven''')");
isnt($old->{state}, '00000', 'a value of a type that was made anew is not read as the old type');
$session->query('DISCARD ALL; SET search_path = two, public');
gives($session->query("SELECT x FROM pool_query('$srv', 'select ''eight''') AS t(x thing)"),
	'eight', 'but as the new one');
refuses($session->query("SELECT x FROM pool_query('$srv', 'select ''seven''') AS t(x thing)"),
	'22P02', 'only');
$session->query('RESET search_path');

#
# A call inside a call, and an error in the middle
#
$session->query(<<"SQL");
CREATE FUNCTION asks(n int) RETURNS boolean LANGUAGE plpgsql AS \$\$
DECLARE
	seen int;
BEGIN
	SELECT x INTO seen FROM pool_query('$srv', 'select \$1', n) AS t(x int);
	RETURN seen = n AND pool_exec('$srv', 'select \$1', n) = 1;
END \$\$;
CREATE DOMAIN asked AS int CHECK (asks(VALUE));
CREATE FUNCTION again() RETURNS text LANGUAGE plpgsql AS \$\$
DECLARE
	seen text := '';
	got int;
	affected int;
BEGIN
	FOR i IN 1..6 LOOP
		BEGIN
			affected := pool_exec('$srv', 'select 1 / (\$1 % 3)', i);
			SELECT x INTO got FROM pool_query('$srv', 'select \$1::text',
				CASE WHEN i % 2 = 0 THEN i::text ELSE 'odd' END) AS t(x int);
			seen := seen || ' ' || got || affected;
		EXCEPTION WHEN OTHERS THEN
			seen := seen || ' ' || sqlstate;
		END;
	END LOOP;
	RETURN seen;
END \$\$;
SQL
gives($session->query("SELECT sum(x) $series pool_query('$srv', 'select \$1', n) AS t(x asked)"),
	'6', 'a domain asks the same server while a row is read');
gives($session->query('SELECT again()'), ' 22P02 21 22012 41 22P02 22012',
	'calls fail and succeed in turn');

#
# Another server of that name, another user, another role
#
$session->query("PREPARE who AS SELECT x FROM pool_query('$srv', 'select current_user') AS t(x text)");
my $user = $session->query('EXECUTE who')->{out};
isnt($user, '', 'who asks on the remote');
$session->query("ALTER SERVER $srv RENAME TO away");
refuses($session->query('EXECUTE who'), '42704', 'a server that has another name is not found');
$session->query("ALTER SERVER away RENAME TO $srv");
gives($session->query('EXECUTE who'), $user, 'and found again');
$session->query("CREATE ROLE nobody_here; SET ROLE nobody_here");
refuses($session->query('EXECUTE who'), '42501', 'a role that may not use it is refused');
$session->query('RESET ROLE');
gives($session->query('EXECUTE who'), $user, 'the one who may is not');
$session->quit;

#
# A remote that has told at the start already that text means something else
#
my $port = start_hostile_server(
	german => sub {
		my ($c) = @_;

		$c->let_in(parameters => join '', map { message('S', $_) } "server_version\00015.0\0",
			"client_encoding\0UTF8\0", "DateStyle\0German, DMY\0");
		while (my @asked = $c->ask)
		{
			$c->put($c->answer(\@asked, columns('x'), row('01.02.2020'), complete('SELECT 1')));
		}
	});
my $german =
  new_server($local, $remote, { port => $port, dbname => 'german', retry_attempts => 1 });
refuses(session($local)->query("SELECT x FROM pool_query('$german', 'select 1') AS t(x text)"),
	'55000', 'text that would be read as another one is refused');
stop_hostile_servers();

done_testing();

# 160_columns.pl
#	Column lists that are asked of the remote: types that are here under the same
#	name, elsewhere, or not at all; names that a remote in another encoding has; that
#	nothing is executed; a remote that does not answer, has gone, or lies.
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

my ($local, $remote) = start_pair(max_size => 2, query_timeout => '60s');

# far(statement): at the remote, where it is the owner's
sub far { return sql($remote, $_[0], db => 'far'); }

# columns_of(query, server): the list, or the error
sub columns_of
{
	my ($query, $server) = @_;

	$server //= 'srv';
	return outcome("SELECT pool_columns('$server', \$q\$$query\$q\$)");
}

# outcome(statement, who): its output, or SQLSTATE and message of its error
sub outcome
{
	my ($statement, $who) = @_;
	my ($state, $err, $out) = sql_state($who // $local, $statement);

	return $state eq '00000' ? $out : $err =~ /ERROR:\s+(?:\w{5}: )?(.*)/ ? "$state $1" : $err;
}

#
# Types that are not built in
#
far(<<'SQL');
CREATE SCHEMA theirs;
GRANT USAGE ON SCHEMA theirs TO app;
CREATE TYPE public.feeling AS ENUM ('sad', 'ok');
CREATE TYPE theirs."Odd [] Name" AS (a int);
CREATE TYPE theirs.box AS ENUM ('wooden');
CREATE DOMAIN theirs.even AS int CHECK (value % 2 = 0);
CREATE TABLE t (id int, f public.feeling, fs public.feeling[], o theirs."Odd [] Name",
	os theirs."Odd [] Name"[], b theirs.box, e theirs.even, es theirs.even[]);
INSERT INTO t VALUES (1, 'ok', '{sad,ok}', '(1)', '{(2)}', 'wooden', 2, '{4}');
GRANT ALL ON t TO app;
CREATE SEQUENCE s;
GRANT ALL ON s TO app;
SQL
is(columns_of('select id, e from t'), 'id integer, e integer', 'a domain is what it is made of');
is(columns_of('select id, f from t'),
	'42704 column 2 "f" is of type public.feeling on the remote, which does not exist here',
	'a type that is not here');
is(columns_of('select fs from t'),
	'42704 column 1 "fs" is of type public.feeling[] on the remote, which does not exist here',
	'an array of one');
is(columns_of('select os from t'), '42704 column 1 "os" is of type theirs."Odd [] Name"[] on '
	  . 'the remote, which does not exist here', 'one of a schema that is not here');
is(columns_of('select b from t'),
	'42704 column 1 "b" is of type theirs.box on the remote, which does not exist here',
	'a built-in type does not stand for another one of its name');
is(columns_of('select f::text, b::text from t'), 'f text, b text', 'what the hint says');
my (undef, $hint) = sql_state($local, q(SELECT pool_columns('srv', 'select f from t')));
like($hint, qr/^HINT:  Create the type here, .* or cast the column/m, 'there is a hint');

sql($local, <<'SQL');
CREATE SCHEMA theirs;
CREATE SCHEMA ours;
CREATE SCHEMA extensions;
CREATE TYPE ours.feeling AS ENUM ('sad', 'ok');
CREATE TYPE theirs."Odd [] Name" AS (a int);
CREATE DOMAIN theirs.even AS int;
CREATE TYPE theirs.box;
SQL
is(columns_of('select o, os, es from t'),
	'o theirs."Odd [] Name", os theirs."Odd [] Name"[], es theirs.even[]',
	'a type of the same schema, outside the search path');
like(columns_of('select f from t'), qr/^42704/, 'one elsewhere, outside of it');
is(outcome(q(SET search_path = ours, public; SELECT pool_columns('srv', 'select f, fs from t'))),
	'f feeling, fs feeling[]', 'one of the search path');
like(columns_of('select b from t'), qr/^42704/, 'a shell type is none');
sql($local, q(CREATE TYPE public.feeling AS ENUM ('sad', 'ok')));
is(outcome(q(SET search_path = ours, public; SELECT pool_columns('srv', 'select f from t'))),
	'f public.feeling', 'one of the same schema comes first');
sql($local, q(SELECT pool_create_view('v', 'srv', 'select id, f, fs, o, os, e from t')));
is(sql($local, 'TABLE v'), '1|ok|{sad,ok}|(1)|{(2)}|2', 'a view of such types');
sql($local, q(SELECT pool_create_function('f', 'srv', 'select id from t where f = $1 and e = $2',
	'feeling', 'theirs.even')));
is(sql($local, q(SELECT f('ok', 2))), '1', 'a function with such types');

SKIP:
{
	skip 'citext is not installed', 1
	  if sql($local, q(SELECT count(*) FROM pg_available_extensions WHERE name = 'citext')) eq '0';
	far('CREATE EXTENSION citext SCHEMA theirs');
	sql($local, 'CREATE EXTENSION citext SCHEMA extensions');
	is(outcome(q(SET search_path = public, extensions; SELECT pool_columns('srv',
			$$select 'a'::theirs.citext as c, '{}'::theirs.citext[] as cs$$))),
		'c citext, cs citext[]', 'an extension that is in another schema here');
}

# Who may not use the type's schema
sql($local, 'CREATE ROLE lowly LOGIN; GRANT USAGE ON FOREIGN SERVER srv TO lowly;'
	  . q( CREATE USER MAPPING FOR lowly SERVER srv OPTIONS (user 'app', password 'secret')));
is((sql_state($local, q(SELECT pool_columns('srv', 'select o from t')), user => 'lowly'))[0],
	'42501', 'no right to the schema of the type');

# A view does not lend the right to the server.
sql($local, 'CREATE ROLE guest LOGIN; GRANT SELECT ON v TO guest, lowly');
is((sql_state($local, 'TABLE v', user => 'guest'))[0], '42501', 'who uses a view needs the right');
is((sql_state($local, 'TABLE v', user => 'lowly'))[2], '1|ok|{sad,ok}|(1)|{(2)}|2', 'and has it');

# What is made can be dumped
foreach my $made ([ 'VIEW v', q('CREATE VIEW v AS ' || pg_get_viewdef('v'::regclass)) ],
	[ 'FUNCTION f', q(pg_get_functiondef('f'::regproc)) ])
{
	my ($what, $definition) = @$made;
	my $before = sql($local, "SELECT $definition");

	sql($local, "DROP $what; $before");
	is(sql($local, "SELECT $definition"), $before, "$what comes out of its own definition");
}
is(sql($local, q(SELECT v.id, f('ok', 2) FROM v)), '1|1', 'and works');

#
# Nothing is executed
#
columns_of($_)
  foreach q(select nextval('s')), 'insert into t values (2) returning *', 'delete from t returning *',
  q(with d as (delete from t returning *) select * from d), 'drop table t', 'select 1; drop table t',
  'create table made (a int)', 'begin', 'set work_mem = 64', 'listen x', 'vacuum t';
is(far(q(SELECT count(*), (SELECT is_called FROM s), to_regclass('made') IS NULL FROM t)), '1|f|t',
	'nothing was executed');
is(outcome(q(SELECT pool_query('srv', 'show work_mem'))), '(4MB)', 'and no setting is left');

# A description is not taken for a statement that was prepared under its name, and
# needs no reset by the worker, which resets what lies idle now and then.
my $resets = stat_of($local, 'sum(resets)');
sql($local, q(DO $$ BEGIN FOR i IN 1..50 LOOP PERFORM pool_columns('srv', 'select 1 as a');
	PERFORM pool_query('srv', 'select 1 as a'); PERFORM pool_columns('srv', 'select 1 as a');
	END LOOP; END $$));
is(stat_of($local, 'sum(statement_invalidations)'), '0', 'what is prepared by name stays so');
cmp_ok(stat_of($local, 'sum(resets)') - $resets, '<', 50, 'a description needs no reset');

# The log has no values of it
{
	my $offset = log_offset($local);

	sql($local, q(SET pool.log_min_duration = 0;
		SELECT pool_create_function('g', 'srv', 'select $1 as logged', 'int')));
	my $log = log_since($local, $offset);
	like($log, qr/statement: select \$1 as logged$/m, 'it is logged as a statement');
	unlike($log, qr/Parameters: \$1/, 'without parameters');
}

#
# Names of a remote in another encoding, where they are shorter
#
sql($remote, q(CREATE DATABASE latin OWNER app ENCODING latin1 TEMPLATE template0
	LC_COLLATE 'C' LC_CTYPE 'C'));
create_server($local, 'latin', $remote, options => { dbname => 'latin' });
my $long = "\xc3\xbc" x 60;
my ($first, $second) = ("\xc3\xbc" x 31, "\xc3\xbc" x 30);
is(columns_of(qq(select 1 as "$long", 2 as "${long}x", 3 as "\xc3\xbc"), 'latin'),
	qq("$first" integer, "${second}_1" integer, "\xc3\xbc" integer),
	'names that are longer here are cut, and differ');
sql($remote, qq(SET client_encoding = utf8; CREATE TYPE "$long" AS ENUM ('a');
	CREATE TABLE t (a "$long"); GRANT ALL ON t TO app), db => 'latin');
like(columns_of('select a from t', 'latin'), qr/^42704/, 'a type of such a name that is not here');
sql($local, qq(CREATE TYPE "$long" AS ENUM ('a')));
is(columns_of('select a from t', 'latin'), qq(a "$first"), 'and one that is');

#
# Sessions in turn, a connection that is gone, one that does not answer
#
my @sessions = map { session($local) } 1 .. 3;
foreach my $i (0 .. 29)
{
	my $session = $sessions[ $i % 3 ];
	my $answer = outcome("SELECT pool_columns('srv', 'select $i as a_$i, f from t')", $session);

	if ($answer ne "a_$i integer, f feeling")
	{
		fail("a list in turn is its own: $answer");
		last;
	}
}
sql($local, q(SELECT pool_resize('srv', 0, 1)));
terminate_app_sessions($remote);
is(columns_of('select f from t'), 'f feeling', 'a connection that has gone is replaced');
my $backend = q(SELECT p FROM pool_query('srv', 'select pg_backend_pid()') AS t(p int));
my $pid = sql($local, $backend);
columns_of('select f from t');
columns_of('select nothing from t');
columns_of('select row(1)');
is(sql($local, $backend), $pid, 'lists, and errors, leave the connection as it is');

my $lock = session($remote, db => 'far');
$lock->query('BEGIN; LOCK TABLE t');
sql($local, q(ALTER SERVER srv OPTIONS (SET query_timeout '200ms')));
like(columns_of('select f from t'), qr/^57014 .*query_timeout/, 'a table that is locked');
$lock->query('ROLLBACK');
sql($local, q(ALTER SERVER srv OPTIONS (SET query_timeout '60s')));
is(columns_of('select f from t'), 'f feeling', 'and one that is not any more');

# An error at any point ends the lease with the block around it.
is(outcome(q(DO $$ BEGIN FOR i IN 1..5 LOOP
		BEGIN PERFORM pool_columns('srv', 'select b from t');
		EXCEPTION WHEN undefined_object THEN NULL; END;
	END LOOP; END $$; SELECT pool_columns('srv', 'select id from t'))), 'id integer',
	'errors in blocks of their own leave no lease');
at_rest($local, $remote, 'after that');

#
# A remote that lies
#

# typed(column...): RowDescription of names and types
sub typed
{
	return message('T', pack 'n' . 'Z*NnNnNn' x @_,
		scalar @_, map { ($_->[0], 0, 0, $_->[1], -1, -1, 0) } @_);
}

# play(answer...): a remote that says this when it is to describe a statement
sub play
{
	my @answer = @_;

	return sub {
		my ($c) = @_;

		$c->let_in;
		while (my @asked = $c->ask)
		{
			my ($i) = grep { $asked[$_] =~ /^D....S/s } 0 .. $#asked;

			$i //= @asked;
			$c->put($c->answer([ @asked[ 0 .. $i - 1 ] ]));
			$c->put(@answer, $c->answer([ @asked[ $i + 1 .. $#asked ] ])) if $i < @asked;
		}
		return;
	};
}

my $none = message('t', pack 'n', 0);
my $int = typed([ 'a', 23 ]);
my %case = (
	'what it should' => [ [ $none, $int ], 'a integer' ],
	'no columns' => [ [ $none, message('n', '') ], '42601 .*' ],
	'an empty name' => [ [ $none, typed([ '', 23 ], [ '', 23 ]) ],
		'"\?column\?" integer, "\?column\?_1" integer' ],
	'a name that is no text' => [ [ $none, typed([ "\xff", 23 ]) ], '22021 .*' ],
	'a name that is a command' =>
	  [ [ $none, typed([ 'a int); drop table x; --', 23 ]) ],
		'"a int\); drop table x; --" integer' ],
	'a type of no OID' => [ [ $none, typed([ 'a', 0 ]) ], '42804 .*' ],
	'a type that it does not know itself' => [ [ $none, typed([ 'a', 99999 ]) ], '42804 .*' ],
	'an odd length of a type' => [ [ $none, message('T', pack 'nZ*NnNnNn', 1, 'a', 0, 0, 1700, -1,
		2**31 - 1, 0) ], '(?:a numeric.*|22023 .*)' ],
	'a row' => [ [ $none, $int, row('1'), complete('SELECT 1') ], '08006 .*' ],
	'a result' => [ [ $int, row('1'), complete('SELECT 1') ], '08006 .*' ],
	'a command' => [ [ complete('DROP TABLE') ], '08006 .*' ],
	'an empty query' => [ [ message('I', '') ], '08006 .*' ],
	'two descriptions' => [ [ $none, $int, $none, $int ], '08006 .*' ],
	'an error' => [ [ report('E', 'ERROR', '42P01', 'gone') ], '42P01 gone' ],
	'its end' => [ [ report('E', 'FATAL', '57P01', 'bye') ], '57P01 bye' ],
	'a COPY' => [ [ message('H', pack 'Cn', 0, 0) ], '(?:08006|0A000) .*' ]);
my $port = start_hostile_server(map { $_ => play(@{ $case{$_}[0] }) } keys %case);

foreach my $name (sort keys %case)
{
	my $server = new_server($local, $remote,
		{ port => $port, dbname => $name, query_timeout => '20s', retry_attempts => 0 });
	my $expected = $case{$name}[1];
	my $session = session($local);

	# In the first the connection is handed over, in the second it may be the session's.
	foreach my $time ('first', 'second')
	{
		like(outcome(qq(SELECT pool_columns('$server', 'select ''x''')), $session),
			qr/^$expected$/s, "$name, the $time time");
	}
	$session->quit;
	sql($local, "DROP SERVER $server CASCADE");
}
stop_hostile_servers();

$_->quit foreach @sessions, $lock;
settled($local);
no_crash($local, $remote);
done_testing;

# 112_prepared_doubts.pl
#	Whatever happens to what is prepared: a statement does what its text says, once,
#	and no session uses what another role, an error, a cancel or an earlier
#	connection has left in doubt.
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

$remote->safe_psql('far', <<'SQL', connstr => $remote->connstr('far') . ' user=app');
CREATE TABLE calls (what text);
CREATE FUNCTION run_it(what text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE what;
	RETURN 'done';
END $$;

-- Statements of other names and texts in the place of those that are there.
CREATE FUNCTION replace_all() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	p record;
BEGIN
	FOR p IN SELECT * FROM pg_prepared_statements WHERE name ~ '^pool_' LOOP
		EXECUTE 'DEALLOCATE ' || p.name;
		EXECUTE format('PREPARE %I%s AS SELECT ''impostor''::text', p.name,
			CASE WHEN p.parameter_types <> '{}' THEN
				'(' || array_to_string(p.parameter_types, ',') || ')' ELSE '' END);
	END LOOP;
	RETURN 'replaced';
END $$;

-- Deallocates what begins with that text.
CREATE FUNCTION forget(what text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE (SELECT 'DEALLOCATE ' || name FROM pg_prepared_statements
		WHERE starts_with(statement, what) AND statement ~ '\d$');
	RETURN 'forgotten';
END $$;

-- Fails in the middle: by an error of the kind that says that what was prepared is
-- out of date, after something was done.
CREATE FUNCTION do_and_fail(state text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM nextval('done');
	RAISE 'cached plan must not change result type' USING ERRCODE = state;
END $$;
CREATE SEQUENCE done;

-- A statement within a function that is out of date, after something was done.
CREATE TABLE narrow (a int);
CREATE FUNCTION outdate() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM nextval('done');
	EXECUTE 'PREPARE outdated_' || currval('done') || ' AS SELECT * FROM narrow';
	ALTER TABLE narrow ADD b int;
	EXECUTE 'EXECUTE outdated_' || currval('done');
	RETURN 'done';
END $$;

-- The names that the pool has given to statements
CREATE TABLE names (name text, statement text);
SQL
my $app = $remote->connstr('far') . ' user=app';

sub far { return $remote->safe_psql('far', $_[0], connstr => $app); }

$cache->server('srv', max_size => 1);
create_server($local, 'shared', $remote, for => 'PUBLIC', options => { max_size => 1 });
sql($local, "CREATE ROLE $_; GRANT USAGE ON FOREIGN SERVER shared TO $_") foreach 'alice', 'bob';
my ($one, $two) = (session($local), session($local));

# prepare(server, text): attempts end here if something came in between
sub prepare
{
	my ($server, $text) = @_;

	$cache->start($server);
	$cache->run($one, $server, $text, 3);
	return $cache->seen($server) eq '0 hits, 1 parses';
}

#
# Another role: neither statements nor the reset, and no impostor
#
sub as_role
{
	my ($role, $text) = @_;

	$one->query("SET ROLE $role");
	my $found = $cache->run($one, 'shared', $text);
	$one->query('RESET ROLE');
	return $found;
}

foreach my $session ('the same', 'another')
{
	$cache->attempt(
		"$session session in another role does not meet what a role has prepared", sub {
			my $text = $cache->text(q(select 'real %d'::text || $1::text));
			my $offset;

			$text =~ s/real \d+/real/;
			my $n = $cache->number;
			$text =~ s/\$1::text/coalesce(\$1, 'x') || $n/;
			$cache->start('shared');
			as_role('alice', "$text, ''::text") foreach 1 .. 4;
			$cache->seen('shared') eq '1 hits, 1 parses' or return;
			as_role('alice', q($_$select replace_all() -- a text$_$)) eq 'replaced' or return;
			$offset = log_offset($remote);
			my $found = $session eq 'another'
			  ? $two->query("SET ROLE bob; SELECT t FROM pool_query('shared', $text, ''::text)"
				  . ' AS r(t text); RESET ROLE')->{out}
			  : as_role('bob', "$text, ''::text");
			is($found, "real$n", "$session session: the statement is the real one");
			return log_since($remote, $offset) !~ /execute pool_/;
		});
}

#
# A table that has changed
#
far('CREATE TABLE changing (a int); INSERT INTO changing VALUES (1)');
my $types = 0;

sub change
{
	return far('ALTER TABLE changing ALTER a TYPE ' . (++$types % 2 ? 'bigint' : 'int'));
}

# change_it(text, code): prepares the text, and what came of the code after the
# table was changed: hits, parses, invalidations
sub after_change
{
	my ($text, $code) = @_;

	prepare('srv', $text) or return;
	my $before = $cache->count('invalidations', 'srv');
	change();
	$code->();
	return $cache->count('invalidations', 'srv') - $before;
}

my $found;
$cache->attempt(
	'outside a transaction block a statement over a changed table runs again', sub {
		my $text = $cache->text('select * from changing where %d > 0');
		my $again = after_change($text, sub { $found = $cache->run($one, 'srv', $text) });

		return defined $again && $cache->must($found, '1') && $again == 1;
	});
$cache->attempt(
	'so it does at a handover', sub {
		my $text = $cache->text('select * from changing where %d > 0');
		my $again = after_change($text, sub { $found = $cache->run($two, 'srv', $text) });

		return defined $again && $cache->must($found, '1') && $again == 1;
	});
$cache->attempt(
	'and when it writes it does so once', sub {
		my $text = $cache->text('with x as (select %d), y as (insert into calls values ($1))'
			  . ' select * from changing');

		far('TRUNCATE calls');
		my $again = after_change("$text, 'a'::text",
			sub { $found = $cache->run($one, 'srv', "$text, 'a'::text") });
		my $calls = far('SELECT count(*) FROM calls');

		return
		     defined $again
		  && $cache->must("$found, $calls calls", '1, 4 calls')
		  && $again == 1;
	});
$cache->attempt(
	'in a lease, outside a block, too, without a reset', sub {
		my $text = $cache->text('select * from changing where %d > 0');
		my ($lease, $offset);
		my $again = after_change($text, sub {
			$lease = $one->acquire('srv');
			$one->query("SELECT pool_exec($lease, 'select 1')");
			$offset = log_offset($remote);
			$found = $one->query("SELECT t FROM pool_query($lease, $text) AS r(t text)")->{out};
			$one->release($lease);
		});

		return defined $again && $cache->must($found, '1') && $again == 1
		  && log_since($remote, $offset) !~ /execute.*(DISCARD ALL|RESET ALL).*\n.*select \*/;
	});
$cache->attempt(
	'in a transaction block it is an error, and then works', sub {
		my $text = $cache->text('select * from changing where %d > 0');
		my @found;
		my $again = after_change($text, sub {
			my $lease = $one->acquire('srv');
			my $query = "SELECT t FROM pool_query($lease, $text) AS r(t text)";

			$one->query("SELECT pool_exec($lease, 'begin')");
			push @found, $one->query($query)->{state};
			$one->query("SELECT pool_exec($lease, 'rollback')");
			push @found, $one->query($query)->{out};
			$one->release($lease);
		});

		return
		     defined $again
		  && $cache->must($found[1], '1')
		  && $again == 1
		  && $found[0] eq '0A000';
	});

# A function that fails in this way has done something.
foreach my $state ('0A000', '26000')
{
	$cache->attempt(
		"a function that raises $state is not run again", sub {
			my $text = $cache->text('select do_and_fail($1) || %d where $2');

			prepare('srv', "$text, ''::text, false") or return;
			my $before = far('SELECT last_value + is_called::int FROM done');
			my $answer = $one->query(
				"SELECT t FROM pool_query('srv', $text, '$state'::text, true) AS r(t text)");
			is($answer->{state}, $state, 'it is an error');
			is(far('SELECT last_value + is_called::int FROM done'), $before + 1, 'and ran once');
			return $cache->seen('srv') eq '0 hits, 1 parses';
		});
}

$cache->attempt(
	'nor one in which a statement is out of date', sub {
		my $text = $cache->text('select outdate() || %d where $1');

		prepare('srv', "$text, false") or return;
		my $before = far('SELECT last_value + is_called::int FROM done');
		my $answer =
		  $one->query("SELECT t FROM pool_query('srv', $text, true) AS r(t text)");
		is($answer->{state}, '0A000', 'it is an error');
		is(far('SELECT last_value + is_called::int FROM done'), $before + 1, 'and ran once');
		return $cache->seen('srv') eq '0 hits, 1 parses';
	});

#
# Gone without a word: DEALLOCATE in a function
#
sub forget_losses
{
	sql($local, q(ALTER SERVER srv OPTIONS (SET max_size '1')));
	return;
}

foreach my $session ($one, $two)
{
	my $who = $session == $one ? 'the same' : 'another';

	$cache->attempt(
		"what a function has deallocated is run as a text by $who session", sub {
			my $text = $cache->text('select %d');

			forget_losses();
			prepare('srv', $text) or return;
			my $before = $cache->count('invalidations', 'srv');
			$cache->run($one, 'srv', q('select run_it($1)', 'deallocate all'::text)) eq 'done'
			  or return;
			is($cache->run($session, 'srv', $text), $cache->number, 'the answer is right');
			return $cache->count('invalidations', 'srv') == $before + 1;
		});
}
$cache->attempt(
	'a lease that begins with BEGIN notices nothing of it', sub {
		my $text = $cache->text('select %d');

		forget_losses();
		prepare('srv', $text) or return;
		$cache->run($one, 'srv', q('select run_it($1)', 'deallocate all'::text)) eq 'done'
		  or return;
		my $lease = $two->acquire('srv');
		my $state = $two->query("SELECT pool_exec($lease, 'begin')")->{state};
		$two->release($lease);
		return $cache->must($state, '00000');
	});
$cache->attempt(
	'what was to be evicted and is gone', sub {
		my @texts = map { $cache->text('select %d') } 1 .. 2;

		sql($local, q(ALTER SERVER srv OPTIONS (ADD statement_cache '1')));
		my $done = prepare('srv', $texts[0])
		  && $cache->run($one, 'srv', q('select forget($1)', 'select '::text)) eq 'forgotten';
		my $before = $cache->count('invalidations', 'srv');
		my $rows = $cache->run($one, 'srv', $texts[1], 3);
		my $n = $cache->number;
		sql($local, q(ALTER SERVER srv OPTIONS (DROP statement_cache)));
		return $cache->must($rows, "$n $n $n") && $done
		  && $cache->count('invalidations', 'srv') == $before + 1;
	});

$cache->attempt(
	'another statement has the name', sub {
		my $text = $cache->text(q(select 'real' where %d > 0));
		my $plain = $text =~ s/\$_\$//gr;

		forget_losses();
		prepare('srv', $text) or return;
		$cache->run($one, 'srv', q($_$insert into names select name, statement
			from pg_prepared_statements returning 1 -- a text$_$));
		sql($local, q(SELECT pool_reconnect('srv')));
		$cache->run($_, 'srv', q('select 1')) foreach $one, $two;
		my $name = far("SELECT name FROM names WHERE statement = \$_\$$plain\$_\$");
		$cache->run($one, 'srv', q('select run_it($1)',)
			  . "\$_\$prepare $name as select 'impostor'\$_\$::text") eq 'done' or return;
		my $before = $cache->count('invalidations', 'srv');
		is($cache->run($one, 'srv', $text, 3), 'real real real', 'the answer is right');
		return $cache->count('invalidations', 'srv') == $before + 1;
	});

# Time and again: then the pool does without.
my $offset = log_offset($local);
forget_losses();
$cache->attempt(
	'a pool whose statements disappear does without', sub {
		my $text = $cache->text('select %d');

		prepare('srv', $text) or return log_since($local, $offset) =~ /prepares no more statements/;
		$cache->run($one, 'srv', q('select run_it($1)', 'deallocate all'::text));
		$cache->run($_, 'srv', $text) foreach $one, $two;
		return log_since($local, $offset) =~ /prepares no more statements/;
	}) foreach 1 .. 3;
my $text = $cache->text('select %d');
$cache->start('srv');
$cache->run($one, 'srv', $text, 5);
is($cache->seen('srv'), '0 hits, 0 parses', 'it prepares nothing');
my $from = log_offset($remote);
$cache->run($_, 'srv', $text) foreach $one, $two, $one, $two;
unlike(log_since($remote, $from), qr/execute pool_/, 'nor the reset');
forget_losses();
$cache->attempt('with new options it begins anew',
	sub { prepare('srv', $cache->text('select %d')) });

#
# Commands and functions that leave something behind
#
$cache->attempt(
	'after a SET in a lease a statement goes as a text', sub {
		my $text = $cache->text(q(select ('{a}'::text[])[1]::text || %d));

		prepare('srv', $text) or return;
		my $lease = $one->acquire('srv');
		my $run = sub { $one->query("SELECT t FROM pool_query($lease, $_[0]) AS r(t text)")->{out} };

		$run->($text);
		my $ok = $cache->seen('srv') eq '1 hits, 1 parses';
		$run->(q('set work_mem = 1234'));
		my $found = $run->($text);
		$one->release($lease);
		$cache->must($found, 'a' . $cache->number);
		return $ok && $cache->seen('srv') eq '1 hits, 1 parses';
	});
$cache->attempt(
	'in a transaction block of a lease a statement goes by name, and none is prepared', sub {
		my @texts = map { $cache->text('select %d') } 1 .. 2;

		prepare('srv', $texts[0]) or return;
		my $lease = $one->acquire('srv');
		my $run = sub { $one->query("SELECT t FROM pool_query($lease, $_[0]) AS r(t text)")->{out} };

		$one->query("SELECT pool_exec($lease, 'begin')");
		$run->($texts[0]);
		my $by_name = $cache->seen('srv');
		$run->($texts[1]) foreach 1 .. 5;
		$one->query("SELECT pool_exec($lease, 'commit')");
		$run->($texts[1]) foreach 1 .. 2;
		$one->release($lease);
		return $by_name eq '1 hits, 1 parses' && $cache->seen('srv') eq '1 hits, 1 parses';
	});
$cache->attempt(
	'a setting that a function has changed is heeded by a literal', sub {
		my $text = $cache->text(q(select ('{null}'::text[])[1] is null where %d > 0));

		$cache->run($one, 'srv', $text, 5);
		my $lease = $one->acquire('srv');
		$one->query(
			"SELECT pool_exec($lease, 'select set_config(''array_nulls'', ''off'', false)')");
		my $found = $one->query("SELECT t FROM pool_query($lease, $text) AS r(t text)")->{out};
		$one->release($lease);
		return $cache->must($found, 'f');
	});

#
# The batch in which a statement is prepared goes wrong
#
$cache->attempt(
	'an error in it leaves the list in doubt', sub {
		my @texts = map { $cache->text('select 1 / $1 + %d') } 1 .. 2;

		prepare('srv', "$texts[0], 1") or return;
		$cache->run($one, 'srv', "$texts[1], 1", 2);
		my $from = log_offset($remote);
		my $state = $one->query("SELECT pool_exec('srv', $texts[1], 0)")->{state};
		my $batch = log_since($remote, $from);
		$from = log_offset($remote);
		my $row = $cache->run($two, 'srv', "$texts[0], 1");
		$cache->must("$state $row", '22012 ' . $cache->number);
		return $batch =~ /execute pool_\w+: RESET ALL/
		  && log_since($remote, $from) =~ /execute <unnamed>: DISCARD ALL/;
	});
$cache->attempt(
	'after an error in it the next one in the lease is prepared behind a DISCARD ALL', sub {
		my @texts = map { $cache->text('select 1 / $1 + %d') } 1 .. 3;

		prepare('srv', "$texts[0], 1") or return;
		$cache->run($one, 'srv', "$_, 1", 2) foreach @texts[ 1, 2 ];
		my $before = $cache->count('invalidations', 'srv');
		my $lease = $one->acquire('srv');
		$one->query("SELECT pool_exec($lease, $texts[1], 0)");
		$one->query("SELECT pool_exec($lease, $_, 1)") foreach @texts[ 2, 0 ];
		$one->release($lease);
		is($cache->count('invalidations', 'srv'), $before, 'nothing is missing');
		return $cache->seen('srv') eq '0 hits, 2 parses';
	});
$cache->attempt(
	'after a lease, which ends with a DISCARD ALL, nothing is by name', sub {
		my $text = $cache->text('select %d');

		prepare('srv', $text) or return;
		my $before = $cache->count('invalidations', 'srv');
		my $lease = $one->acquire('srv');
		my $found = $one->query("SELECT t FROM pool_query($lease, $text) AS r(t text)")->{out};
		$one->release($lease);
		my $hits = $cache->seen('srv');
		$found .= ' ' . $cache->run($_, 'srv', $text) foreach $two, $one;
		my $n = $cache->number;
		is($cache->count('invalidations', 'srv'), $before, 'nothing is missing');
		return $cache->must($found, "$n $n $n") && $hits eq '1 hits, 1 parses';
	});
$cache->attempt(
	'what cannot be parsed any more is an error', sub {
		my $text = $cache->text('select * from going where %d > 0');

		far('CREATE TABLE IF NOT EXISTS going (a int)');
		$cache->start('srv');
		$cache->run($one, 'srv', $text, 2);
		far('DROP TABLE going');
		my $answer = $one->query("SELECT pool_exec('srv', $text)");
		is($answer->{state}, '42P01', 'the error is that of the statement');
		is($cache->run($one, 'srv', q('select 42')), 42, 'and the next statement works');
		return 1;
	});
$cache->attempt(
	'a cancel in it', sub {
		my $text = $cache->text('select pg_sleep($1) where %d > 0');

		$cache->run($one, 'srv', "$text, 0::float8", 2);
		$cache->start('srv');
		$one->query('SET statement_timeout = 300');
		my $state = $one->query("SELECT pool_exec('srv', $text, 60::float8)")->{state};
		$one->query('RESET statement_timeout');
		my $row = $cache->run($two, 'srv', q('select 42'));
		$cache->must("$state $row", '57014 42');
		return $cache->seen('srv') eq '0 hits, 0 parses'
		  && $cache->prepared($two, 'srv') == 0;
	});

#
# Another connection in the same place: nothing of the one before
#
$cache->attempt(
	'a new connection has nothing prepared', sub {
		my $text = $cache->text('select %d');

		prepare('srv', $text) or return;
		my $place = q(SELECT slot FROM pool_connections WHERE server = 'srv');
		my $slot = sql($local, $place);
		my $before = $cache->count('invalidations', 'srv');

		# A second one leads back to the place of the first one.
		foreach (1 .. 2)
		{
			sql($local, q(SELECT pool_reconnect('srv')));
			wait_for_value($local, q(SELECT count(*) FROM pool_connections WHERE server = 'srv'),
				0, 'the connection is closed');
			sql($local, q(SELECT pool_prewarm('srv', 1)));
			last if sql($local, $place) eq $slot;
		}
		return if sql($local, $place) ne $slot;
		my $from = log_offset($remote);
		is($cache->run($_, 'srv', $text), $cache->number, 'the answer is right') foreach $one, $two;
		is($cache->count('invalidations', 'srv'), $before, 'nothing was missing');
		return log_since($remote, $from) !~ /execute pool_\w+: (select|RESET)/;
	});
$cache->attempt(
	'nor has one that takes the place of a connection that was reclaimed', sub {
		my $text = $cache->text('select %d');

		prepare('srv', $text) or return;
		my $lease = $one->acquire('srv');

		# So that there is something to keep: it is used at another time.
		my $until = time + 2;
		$one->query("SELECT pool_exec($lease, $text)") while time < $until;
		my $slot = sql($local, q(SELECT slot FROM pool_connections WHERE server = 'srv'));
		sql($local, "SELECT pool_reclaim($slot)");
		is($cache->run($two, 'srv', q('select 42')), 42, 'another connection takes its place');
		my $held = $two->acquire('srv');
		$one->release($lease);
		$two->release($held);
		is(sql($local, q(SELECT slot FROM pool_connections WHERE server = 'srv')), $slot,
			'in the same slot');
		my $before = $cache->count('invalidations', 'srv');
		is($cache->run($_, 'srv', $text), $cache->number, 'the answer is right')
		  foreach $two, $one, $two;
		is($cache->count('invalidations', 'srv'), $before, 'and nothing was missing');
		return 1;
	});

$_->quit foreach $one, $two;
settled($local);
remote_count($local, $remote);
no_crash($local, $remote);

done_testing();

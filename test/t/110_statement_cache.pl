# 110_statement_cache.pl
#	A statement that a session has run twice is prepared on the connection, and
#	executed by name from then on, by every session; what that counts, when it is
#	not done, and what goes when there are too many.
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

my $remote = start_remote(log_statement => 'all', log_line_prefix => q('%m [%p] %u '));
my $local = start_local();
my $cache = PoolTest::Prepared->new($local, $remote);
my ($one, $two) = (session($local), session($local));

#
# The third run prepares it, the fourth executes it by name, and so does another
# session that has never seen it
#
$cache->server('srv', max_size => 1);
$cache->attempt(
	'a statement is prepared when it runs for the third time', sub {
		my $text = $cache->text('select $1 + %d');

		$cache->start('srv');
		my $rows = $cache->run($one, 'srv', "$text, 1", 2);
		$cache->seen('srv') eq '0 hits, 0 parses' or return;
		$rows .= ' ' . $cache->run($one, 'srv', "$text, 1");
		$cache->seen('srv') eq '0 hits, 1 parses' or return;
		$rows .= ' ' . $cache->run($one, 'srv', "$text, 1", 2);
		$cache->seen('srv') eq '2 hits, 1 parses' or return;
		$rows .= ' ' . $cache->run($two, 'srv', "$text, 1");
		$cache->seen('srv') eq '3 hits, 1 parses' or return;
		my $n = $cache->number + 1;
		return $cache->must($rows, join(' ', ($n) x 6));
	});
my $log = log_since($remote);
like($log, qr/app LOG:  execute pool_[0-9a-f]{32}: select/, 'the remote executes it by name');
like($log, qr/app LOG:  execute pool_[0-9a-f]{32}: RESET ALL/, 'the reset goes in parts, by name');

#
# The types of parameters are part of a statement, and the name
#
$cache->attempt(
	'with other types of parameters it is another statement', sub {
		my $text = $cache->text('select pg_column_size($1) + %d');
		my $n = $cache->number;
		my $rows;

		$cache->start('srv');
		$rows = $cache->run($one, 'srv', "$text, 1", 4) . ' '
		  . $cache->run($one, 'srv', "$text, 1::bigint", 4) . ' '
		  . $cache->run($one, 'srv', "$text, 1", 2);
		$cache->must($rows, join(' ', ($n + 4) x 4, ($n + 8) x 4, ($n + 4) x 2));
		return $cache->seen('srv') eq '4 hits, 2 parses';
	});

#
# What is not prepared: where parsing could freeze something, or cannot tell
#
my $no = 0;
foreach my $text (
	q(select length('now'::text) + $1),
	q(select 1 where 'ToDay'::date is not null),
	q(select 1 where date 'tomorrow' is not null),
	q(select 1 where '-- yesterday'::text is not null),
	q(select 1 where '2024-03-02'::text is not null),
	q(select 1 where E'\x6eow'::text is not null),
	q(select 1 where U&'\006eow'::text is not null),
	q(select 1 where 'a\b'::text is not null),
	q(select 1 where 'a"b'::text is not null),
	q(select 1 where 'a''b'::text is not null),
	qq(select 1 where 'no'\n'w' is not null),
	q(select 1 where $q$x$q$::text is not null),
	q(select 1 -- x),
	q(select /* x */ 1),
	q(select 1 where 1 = (NULL) is null),
	q(select 1 where (NULL) = 1 is null),
	q(select 1 where '{null}'::text[] is not null),
	q(select 1 where 'pi'::regproc is not null),
	q(select 1 where 'pi'::"regproc" is not null),
	q(select length(to_tsvector('english', 'a'))),
	q(select 1; select 1),
	q(select 1 where 'x' = ') . ('x' x 9000) . q(' or true),
	q(show timezone),
	q(explain select 1),
	q(select $1::text || '' -- an unknown parameter), )
{
	my $parses = $cache->count('parses', 'srv');
	my $how = length $text > 60 ? substr($text, 0, 60) . '...' : $text;

	my $run = "SELECT pool_exec('srv', \$_\$$text\$_\$" . ($text =~ /\$1/ ? ', 1' : '') . ')';
	my @states = map { $one->query($run)->{state} } 1 .. 5;
	is("@states", join(' ', ('00000') x 5), "it works: $how");
	is($cache->count('parses', 'srv') - $parses, 0, "not prepared: $how");
}
$cache->attempt(
	'a statement whose parameter has no type of its own is not prepared', sub {
		my $text = $cache->text('select length($1) + %d');

		$cache->start('srv');
		$cache->run($one, 'srv', "$text, 'unknown'", 5);
		$cache->seen('srv') eq '0 hits, 0 parses' or return;
		$cache->run($one, 'srv', "$text, 'text'::text", 5);
		return $cache->seen('srv') eq '2 hits, 1 parses';
	});
foreach my $cast ('$1::int', '$1 :: INTEGER', '($1::int + $1::int) / 2', q($1::int * length('$x')))
{
	$cache->attempt(
		"a statement that casts it is prepared: $cast", sub {
			my $text = $cache->text("select $cast + %d");

			$cache->start('srv');
			$cache->run($one, 'srv', "$text, '2'", 5);
			return $cache->seen('srv') eq '2 hits, 1 parses';
		});
}
sql($remote, 'CREATE SCHEMA text; CREATE DOMAIN text.known AS int; CREATE DOMAIN known AS int;'
	. ' GRANT USAGE ON SCHEMA text TO app', db => 'far');
foreach my $cast ('$1::known', '$1::text.known', '$1::int + length($1::known::text)',
	'$1', '$1::int + $1', '$1::"int4"')
{
	my $parses = $cache->count('parses', 'srv');
	my @states = map {
		$one->query("SELECT pool_exec('srv', 'select 1 where 1 < $cast', '2')")->{state} } 1 .. 5;

	is("@states", join(' ', ('00000') x 5), "it works: $cast");
	is($cache->count('parses', 'srv') - $parses, 0, "one that leaves it open is not: $cast");
}
foreach my $text (
	q(select 'active', %d),
	q(select now() + %d * $1::interval),
	q(select null::int + %d),
	q(select "now", %d from (values (true)) "x"("now")),
	q(select nextval('counter') + %d),
	q(with x as (select 'x'::text) select %d from x),
	q(insert into t values (%d)))
{
	sql($remote, 'CREATE SEQUENCE IF NOT EXISTS counter; CREATE TABLE IF NOT EXISTS t (a int);'
		  . ' GRANT ALL ON t, counter TO app', db => 'far');
	$cache->attempt(
		"prepared: $text", sub {
			my $statement = $cache->text($text);

			$cache->start('srv');
			$one->query("SELECT pool_exec('srv', $statement"
				  . ($text =~ /\$1/ ? q(, interval '1 s') : '') . ')') foreach 1 .. 5;
			return $cache->seen('srv') eq '2 hits, 1 parses';
		});
}

#
# statement_cache bounds how many there are; what was used last stays
#
$cache->server('narrow', max_size => 1, statement_cache => 2);
$cache->attempt(
	'the statement that was not used for the longest time goes', sub {
		my @texts = map { $cache->text('select $1 + %d') } 1 .. 3;
		my $n = $cache->number;
		my $rows;

		$cache->start('narrow');
		$rows = $cache->run($one, 'narrow', "$_, 1", 3) foreach @texts[ 0, 1 ];
		$cache->seen('narrow') eq '0 hits, 2 parses' or return;

		# Times are kept by the second.
		my $until = time + 2;
		$cache->run($one, 'narrow', "$texts[0], 1") while time < $until;
		$cache->start('narrow');
		$rows = $cache->run($one, 'narrow', "$texts[2], 1", 4);
		$cache->must($rows, join(' ', ($n + 1) x 4));
		$cache->seen('narrow') eq '1 hits, 1 parses'
		  && $cache->count('evictions', 'narrow') == 1
		  or return;
		$cache->run($one, 'narrow', "$texts[0], 1");
		return $cache->seen('narrow') eq '2 hits, 1 parses'
		  && $cache->prepared($one, 'narrow') == 2 + $cache->own;
	});
sql($local, q(ALTER SERVER narrow OPTIONS (SET statement_cache '1')));
$cache->attempt(
	'a lower limit is kept', sub {
		my $text = $cache->text('select $1 + %d');

		$cache->start('narrow');
		$cache->run($one, 'narrow', "$text, 1", 4);
		return $cache->prepared($one, 'narrow') == 1 + $cache->own;
	});

#
# Off: as if there were none
#
foreach my $options (
	[ 'off', statement_cache => 0 ],
	[ 'own', reset_query => 'RESET ALL' ],
	[ 'less', reset_query => 'DISCARD TEMP' ])
{
	my ($name, %options) = @$options;

	$cache->server($name, max_size => 1, %options);
	my $text = $cache->text('select $1 + %d');
	my $offset = log_offset($remote);

	$cache->start($name);
	foreach (1 .. 5)
	{
		$cache->run($_, $name, "$text, 1", 2) foreach $one, $two;
	}
	is($cache->seen($name), '0 hits, 0 parses', "$name: nothing is prepared");
	unlike(log_since($remote, $offset), qr/execute pool_/, "$name: nothing goes by name");
}

#
# statement_plan is a start-up option, which no reset undoes
#
$cache->server('custom', max_size => 1, statement_plan => 'custom');
is( join(' ', map { $cache->run($_, 'custom',
		q('select current_setting($1)', 'plan_cache_mode'::text)) } ($one, $two) x 4),
	join(' ', ('force_custom_plan') x 8),
	'the remote plans each time with statement_plan custom');
is($cache->run($one, 'srv', q('select current_setting($1)', 'plan_cache_mode'::text)),
	'auto', 'and as it likes otherwise');

$_->quit foreach $one, $two;
settled($local);
remote_count($local, $remote);
no_crash($local, $remote);

done_testing();

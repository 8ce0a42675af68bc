# Checks.pm
#	What must hold when a test has come to rest.

package PoolTest::Checks;

use strict;
use warnings;

use Exporter qw(import);
use Test::More;

use PoolTest::Sql;
use PoolTest::Wait;

our @EXPORT = qw(settled remote_count at_rest);

# settled(local, what): soon nothing is under way in any pool, and every lease
# and every connection is accounted for
sub settled
{
	my ($local, $what, $seconds) = @_;
	my $wrong = '';

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	wait_until(
		$seconds || 20,
		sub {
			$wrong = sql($local, <<'SQL');
WITH stats AS (SELECT s.*, (SELECT sum(value::bigint)
	FROM jsonb_each_text(to_jsonb(s)) WHERE key LIKE 'closed\_%') AS reasons
	FROM pool_stats_all() s)
SELECT row_to_json(stats) FROM stats
WHERE active <> 0 OR waiting <> 0 OR resetting <> 0 OR closing <> 0
	OR connecting <> 0 OR acquires <> releases + lost + active
	OR connects <> closed + open OR open <> active + idle + resetting
	OR closed <> reasons
UNION ALL
SELECT row_to_json(c) FROM pool_connections c
WHERE state NOT IN ('idle') OR pid IS NOT NULL
UNION ALL
SELECT json_build_object('open', s.open, 'shown', c.n)
FROM (SELECT sum(open) AS open FROM pool_stats) s,
	(SELECT count(*) AS n FROM pool_connections) c
WHERE coalesce(s.open, 0) <> c.n
SQL
			return $wrong eq '';
		});
	return is($wrong, '', $what || 'nothing is under way in any pool, and the sums hold');
}

# remote_count(local, remote, what): the remote has as many sessions as pool
# says, and they are idle
sub remote_count
{
	my ($local, $remote, $what) = @_;
	my ($here, $there, $busy);

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	wait_until(
		20,
		sub {
			$here = sql($local,
				'SELECT coalesce(sum(open), 0) FROM pool_stats');
			$there = app_sessions($remote);
			$busy = app_sessions($remote, q(state <> 'idle'));
			return $here == $there && $busy == 0;
		});
	return is("$there, $busy busy", "$here, 0 busy",
		$what || 'the remote has as many sessions as pool has connections, all idle');
}

# at_rest(local, remote, when): both of these
sub at_rest
{
	my ($local, $remote, $when) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	settled($local, "nothing is under way $when, and the sums hold");
	return remote_count($local, $remote,
		"the remote has as many sessions as pool $when, all idle");
}

1;

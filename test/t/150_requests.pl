# 150_requests.pl
#	Requests: statements that are sent without waiting.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use Test::More;

my ($local, $remote) = start_pair(max_size => 4, acquire_timeout => '5s');

my $s = session($local);
$s->query('BEGIN');
my $r = $s->query(q(SELECT pool_send('srv', 'select 42 as x')))->{out};
like($r, qr/^\d+$/, 'pool_send returns a number');
is($s->query("SELECT * FROM pool_wait(ARRAY[$r])")->{out}, $r, 'pool_wait');
is($s->query("SELECT pool_poll($r)")->{out}, 'ready', 'ready');
is($s->query("SELECT * FROM pool_result($r) AS t(x int)")->{out}, '42', 'result');
is($s->query("SELECT pool_poll($r)")->{state}, '42704', 'gone');
$s->query('ROLLBACK');
is($s->query(q(SELECT count(*), sum(x) FROM (SELECT pool_send('srv', 'select pg_sleep(0.3), $1::int as x', i) AS r FROM generate_series(1, 8) i OFFSET 0) q, LATERAL pool_result(r) AS t(s text, x int)))->{out}, '8|36', 'eight');
my $start = time;
diag $s->query(q(WITH q AS MATERIALIZED (SELECT pool_send('srv', 'select pg_sleep(0.5), $1::int as x', i) AS r FROM generate_series(1, 4) i) SELECT count(*), sum(x) FROM q, LATERAL pool_result(r) AS t(s text, x int)))->{out}, time - $start;
is($s->query(q(SELECT pool_send('srv', 'select pg_sleep(1)')))->{state}, '00000', 'warn');
diag explain $s->query(q(BEGIN; SELECT pool_send('srv', 'select 1/0') AS r \gset
SELECT * FROM pool_result(:r) AS t(x int);));
at_rest($local, $remote, 'end');
no_crash($local, $remote);
done_testing;

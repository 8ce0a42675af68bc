# 155_query_all.pl
#	One statement on several servers at a time.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use Test::More;

my ($local, $remote) = start_pair(max_size => 4, acquire_timeout => '5s');
foreach my $i (1 .. 8)
{
	sql($local, "CREATE SERVER s$i FOREIGN DATA WRAPPER pool OPTIONS (host '" . $remote->host . "', port '" . $remote->port . "', dbname 'postgres', connect_timeout '2000', retry_attempts '0'); CREATE USER MAPPING FOR PUBLIC SERVER s$i OPTIONS (user 'postgres')");
}
my $all = q(ARRAY(SELECT 's' || i FROM generate_series(1, 8) i));
my ($st, $err, $out) = sql_state($local, "SELECT count(*), sum(x), count(error) FROM pool_query_all($all, 'select 1, pg_sleep(0.2)') AS t(server text, sqlstate text, error text, x int, s text)");
diag "$st $err $out";
sql($local, "ALTER SERVER s3 OPTIONS (SET port '1')");
foreach my $how (qw(raise row skip))
{
	($st, $err, $out) = sql_state($local, "SELECT server, sqlstate, error, x FROM pool_query_all($all, 'select 1, pg_sleep(0.2)', on_error => '$how') AS t(server text, sqlstate text, error text, x int, s text)");
	diag "$st $err $out";
}
($st, $err, $out) = sql_state($local, "SELECT * FROM pool_query_all_json($all, 'select 1 as x', on_error => 'row')");
diag "$st $err $out";
($st, $err, $out) = sql_state($local, "SELECT * FROM pool_query_all($all, 'create temp table x()', on_error => 'row', parallel => 2) AS t(server text, sqlstate text, error text)");
diag "$st $err $out";
($st, $err, $out) = sql_state($local, "SELECT * FROM pool_query_all($all, 'select pg_sleep(\$1::float8)', '{1}', on_error => 'row', timeout => '300ms') AS t(server text, sqlstate text, error text, x text)");
diag "$st $err $out";
($st, $err, $out) = sql_state($local, "SELECT * FROM pool_query_all($all, 'select 1', ARRAY[1]) AS t(server text, sqlstate text, error text, x text)");
diag "$st $err $out";
($st, $err, $out) = sql_state($local, "SELECT * FROM pool_query_all($all, 'select 1', 'row') AS t(server text, sqlstate text, error text, x text)");
diag "$st $err $out";
at_rest($local, $remote, 'end');
no_crash($local, $remote);
ok(0);
done_testing;

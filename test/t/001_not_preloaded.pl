# 001_not_preloaded.pl
#	Without shared_preload_libraries pool refuses to be created or loaded, says
#	what to do, and leaves the server as it was.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('plain');
$node->init;
$node->start;

my ($state, $err) = sql_state($node, 'CREATE EXTENSION pool');
is($state, '55000', 'CREATE EXTENSION fails');
like($err, qr/HINT: .*shared_preload_libraries/,
	'and the hint names shared_preload_libraries');
is(sql($node, q(SELECT count(*) FROM pg_extension WHERE extname = 'pool')),
	0, 'no extension');
is(sql($node, q(SELECT count(*) FROM pg_proc WHERE proname LIKE 'pool\_%')),
	0, 'no function');

# A session that has run into it goes on, and meets the same answer again.
my $session = session($node);
foreach my $turn (1, 2)
{
	is($session->query('CREATE EXTENSION pool')->{state},
		'55000', "turn $turn: refused");
	is($session->query(q(LOAD 'pool'))->{state},
		'55000', "turn $turn: LOAD refused");
	is($session->query('SELECT 41 + 1')->{out},
		'42', "turn $turn: the session works");
}
$session->quit;

# session_preload_libraries is no substitute: it comes too late, and only for
# that session.
my ($code, $out);
($code, $out, $err) = $node->psql(
	'postgres', 'SELECT 1',
	connstr => $node->connstr('postgres')
	  . q( options='-c session_preload_libraries=pool'));
isnt($code, 0, 'a session with session_preload_libraries is refused');
like($err, qr/HINT: .*shared_preload_libraries/, 'with the same hint');
is(sql($node, 'SELECT 41 + 1'), 42, 'others are not');

# The same server with the setting
$node->stop;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'pool'");
$node->start;
is((sql_state($node, 'CREATE EXTENSION pool'))[0],
	'00000', 'created once it is preloaded');
is(sql($node, 'SELECT count(*) FROM pool_stats'), 0, 'no pool yet');

# And without it again: what is installed now cannot run, and says why.
$node->stop;
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$node->start;
foreach my $statement (
	'SELECT * FROM pool_stats',
	'SELECT * FROM pool_connections',
	q(SELECT pool_query('srv', 'select 1')),
	q(SELECT pool_acquire('srv')),
	'CREATE SERVER srv FOREIGN DATA WRAPPER pool')
{
	($state, $err) = sql_state($node, $statement);
	is($state, '55000', "refused: $statement");
	like($err, qr/shared_preload_libraries/, 'with the hint');
}
is((sql_state($node, 'DROP EXTENSION pool'))[0],
	'00000', 'the extension can be dropped');

$node->stop;
no_crash($node);

done_testing();

# 001_not_preloaded.pl
#	Without shared_preload_libraries pool refuses to be created or loaded, says
#	what to do, and leaves the server as it was: tried in a server that starts
#	without it, then with it, then without it again.
#
# Runs in the plain round only.

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
is($state, '55000', 'CREATE EXTENSION fails on a server that did not preload pool');
like($err, qr/HINT: .*shared_preload_libraries/,
	'the hint of CREATE EXTENSION names shared_preload_libraries');
like($err, qr/DETAIL: .*dump .*restored/,
	'the error of CREATE EXTENSION tells that a restore of a dump needs it, too');
is(sql($node, q(SELECT count(*) FROM pg_extension WHERE extname = 'pool')),
	0, 'a CREATE EXTENSION that failed leaves no extension');
is(sql($node, q(SELECT count(*) FROM pg_proc WHERE proname LIKE 'pool\_%')),
	0, 'a CREATE EXTENSION that failed leaves no function');

# A session that has run into it goes on, and meets the same answer again.
my $session = session($node);
foreach my $turn (1, 2)
{
	is($session->query('CREATE EXTENSION pool')->{state},
		'55000', "turn $turn: CREATE EXTENSION fails in a session that goes on");
	is($session->query(q(LOAD 'pool'))->{state},
		'55000', "turn $turn: LOAD fails in a session that goes on");
	is($session->query('SELECT 41 + 1')->{out},
		'42', "turn $turn: a session that could not load pool still works");
}
$session->quit;

# session_preload_libraries is no substitute: it comes too late, and only for
# that session.
my ($code, $out);

# No statement: psql may have ended before it could be written.
($code, $out, $err) = $node->psql(
	'postgres', '',
	connstr => $node->connstr('postgres')
	  . q( options='-c session_preload_libraries=pool'));
isnt($code, 0, 'a session with session_preload_libraries is refused');
like($err, qr/HINT: .*shared_preload_libraries/,
	'the hint for session_preload_libraries names shared_preload_libraries');
is(sql($node, 'SELECT 41 + 1'), 42, 'sessions without session_preload_libraries are not refused');

# The same server with the setting
$node->stop;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'pool'");
$node->start;
is((sql_state($node, 'CREATE EXTENSION pool'))[0],
	'00000', 'CREATE EXTENSION works once pool is preloaded');
is(sql($node, 'SELECT count(*) FROM pool_stats'), 0, 'a new extension has no pool yet');

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
	is($state, '55000', "a server that no longer preloads pool refuses: $statement");
	like($err, qr/shared_preload_libraries/, "the error names the setting: $statement");
}
is((sql_state($node, 'DROP EXTENSION pool'))[0],
	'00000', 'the extension can be dropped from a server that no longer preloads pool');

$node->stop;
no_crash($node);

done_testing();

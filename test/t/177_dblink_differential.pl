# 177_dblink_differential.pl
#	What a user of dblink may write gives the same with pool_dblink, in both modes: rows,
#	SQLSTATEs, messages, details, hints and contexts.  The scripts of test/dblink run
#	with dblink of this very version, too, so there is no expected output.  What differs
#	by design is listed here, with the reason, and must differ in just that way.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::Differential;
use Test::More;

my $lost = "HINT:  Call dblink_disconnect() and dblink_connect().\n";
my $context = "CONTEXT:  while executing query on dblink connection named \"c\"\n";
my $copies = <<'EOT';
DETAIL:  The connection to server "app@127.0.0.1:PORT/DB" is closed.
HINT:  Use SELECT and INSERT, or COPY with a file or program on the remote.
EOT
my $copy_why = 'COPY to or from the client is refused by its name, and the connection closed';
my $refused_copy = [ {
	dblink => "08006: could not obtain message string for remote error\n",
	ours => "0A000: COPY from or to the client cannot run over a pooled connection\n$copies",
	why => $copy_why } ];
my $needs_password = {
	dblink => "DETAIL:  Non-superusers must provide a password in the connection string.\n",
	ours => <<'EOT',
DETAIL:  The user mapping for server "far_server" has no password, and the current role is not a superuser.
HINT:  Set the option "password" on the user mapping, or have a superuser set "password_required" to false.
EOT
	why => 'a mapping without a password is told of as pool_query() tells of it' };

# By item: what dblink prints, what we print, why, and in which mode if not in both.
# "everywhere": what we print, and dblink does not, wherever it belongs.
my %differences = (
	'everywhere' => {
		ours => qr/^(?:SCHEMA|TABLE|COLUMN|DATATYPE|CONSTRAINT) NAME:  .*\n/m,
		why => 'errors have the names of what they are about, as the remote gave them' },
	'async: an error that is not read yet' => [ {
		dblink => "ERROR:  syntax error at or near \"nonsense\"\nLINE 1: nonsense\n        ^\n"
		  . "(1 row)\nERROR:  42601",
		ours => "OK\n(1 row)\nERROR:  42601",
		why => 'dblink_error_message() tells of it once dblink_get_result() has' } ],
	'async: a COPY' => $refused_copy,
	'errors: an empty message' => [ {
		dblink => 'P0001: could not obtain message string for remote error',
		ours => 'P0001: ',
		why => 'an empty message stays empty' } ],
	'errors: caught' => [ {
		dblink => " at PERFORM |     \n",
		ours => " at PERFORM | con tbl sch dt col\n",
		why => 'errors have the names of what they are about, as the remote gave them' } ],
	'errors: an error in the middle of rows, without an error' => [ {
		dblink => "i\n2\n3\n5\n10\n(4 rows)\n",
		ours => "i\n(0 rows)\n",
		why => 'rows that came before the error are not returned' } ],
	'lost: what it says' => [ {
		dblink => <<'EOT',
08006: FATAL:  terminating connection due to administrator command
server closed the connection unexpectedly
	This probably means the server terminated abnormally
	before or while processing the request.
invalid socket
EOT
		ours => <<'EOT',
57P01: remote has ended the connection of lease N to server "app@127.0.0.1:PORT/DB"
DETAIL:  The statement was not sent.  The remote said: terminating connection due to administrator command
EOT
		why => "the SQLSTATE is the remote's, and it is told that nothing was executed" } ],
	'lost: what it says then' => [ {
		dblink => "XX000: could not send query: no connection to the server\n",
		ours => "08003: connection \"c\" was lost\n$lost$context",
		why => 'a connection that was lost has a message of its own' } ],
	'lost: what it says then, without an error' => [ {
		dblink => "08006: no connection to the server\n",
		ours => "08003: connection \"c\" was lost\n$lost",
		why => 'a connection that was lost has a message of its own' } ],
	'lost: a query without an error' => [ {
		dblink => "an error\n",
		ours => "nothing\n",
		why => 'without an error there is none on a connection that was lost, either' } ],
	'lost: a query that is sent' => [ {
		dblink => "NOTICE:  00000: could not send query: no connection to the server\n"
		  . "dblink_send_query\n0\n(1 row)\n",
		ours => "ERROR:  08003: connection \"c\" was lost\n$lost",
		why => 'a query that is not sent is an error' } ],
	'lost: a cancel' => [ {
		dblink => "PQcancel() -- no cancel object supplied\n",
		ours => "OK\n",
		why => 'where nothing runs there is nothing to cancel' } ],
	'lost: with nothing that would be lost' => [ {
		mode => 'transaction',
		dblink => "an error\n",
		ours => "1\n",
		why => 'a name that needs no connection of its own gets another one' } ],
	'names: each has a process of its own' => [ {
		mode => 'transaction',
		dblink => "count\n15\n",
		ours => "count\n1\n",
		why => 'names have a process of their own as long as they need one' } ],
	'names: a connect_timeout that is no number' => [ {
		dblink => 'connection to server at "127.0.0.1", port PORT failed: invalid',
		ours => 'invalid',
		why => 'the address is not named where nothing was tried' } ],
	'names: connections that fail' => [ {
		dblink => "\n\tIs the server",
		ours => "  Is the server",
		why => 'what libpq says is made one line' } ],
	'names: strings that are wrong' => [ {
		dblink => "\n\tIs the server",
		ours => "  Is the server",
		why => 'what libpq says is made one line' } ],
	'names: the name of an application' => [ {
		dblink => "mine\n",
		ours => "N pool DB postgres PID\n",
		why => 'the name of the application tells who has the connection' } ],
	'names: no name of an application' => [ {
		dblink => "a\n\n",
		ours => "a\nN pool DB postgres PID\n",
		why => 'the name of the application tells who has the connection' } ],
	'names: replication' => [ {
		dblink => "08001: could not establish connection\nDETAIL:  connection to server at "
		  . "\"127.0.0.1\", port PORT failed: FATAL:  number of requested standby connections "
		  . "exceeds max_wal_senders (currently 0)\n",
		ours => "0A000: option \"replication\" is not supported in a connection string\n"
		  . "DETAIL:  Connections of a pool are opened without it.\n",
		why => 'replication cannot be pooled' } ],
	'roles: a role without rights and a string that is none' => [ {
		dblink => "2F003: password is required\n$needs_password->{dblink}",
		ours => "08001: could not establish connection\n"
		  . "DETAIL:  missing \"=\" after \"nonsense\" in connection info string\n",
		why => 'a string that is none is told of as such to every role' } ],
	"servers: a mapping of one's own, without a password" => [$needs_password],
	'servers: a server of another wrapper' => [ {
		dblink => "s\napp\n(1 row)\ndblink_connect\nOK\n(1 row)\ndblink_disconnect\nOK\n(1 row)\n",
		ours => <<'EOT' x 2 . "ERROR:  08003: connection \"c\" not available\n",
ERROR:  0A000: cannot pool connections of server "other"
DETAIL:  Its foreign-data wrapper "other_fdw" does not describe PostgreSQL servers as libpq does.
HINT:  Use a server of the foreign-data wrapper pool, postgres_fdw or dblink_fdw.
EOT
		why => 'options of other wrappers may mean anything' } ],
	'statements: answers before the last one that do not fit' => [ {
		dblink => 'ERROR:  42804: remote query result rowtype does not match the specified '
		  . "FROM clause rowtype\n",
		ours => "i\n3\n(1 row)\n",
		why => 'only the last answer has to fit' }, {
		dblink => "ERROR:  22P02: invalid input syntax for type integer: \"x\"\n",
		ours => "i\n4\n(1 row)\n",
		why => 'only the last answer is read' } ],
	'statements: an answer before an error, without an error' => [ {
		dblink => "i\n1\n(1 row)\n",
		ours => "i\n(0 rows)\n",
		why => 'an answer that came before the error is not returned' } ],
	(map { ("statements: COPY $_" => $refused_copy) } 'to the client in dblink_exec()',
		'to the client without an error', 'from the client in dblink_exec()',
		'from the client without an error', 'by string'),
	'statements: the connection after that' => [ {
		mode => 'session',
		dblink => "i\n1\n(1 row)\n",
		ours => "ERROR:  08003: connection \"c\" was lost\n$lost$context",
		why => 'a connection whose statement was cancelled is closed' } ],
	'values: styles that change within the string' => [ {
		dblink => "d\n2026-01-02\n(1 row)\nd\n2026-02-01\n(1 row)\nd\n2026-01-02\n",
		ours => "d\n2026-02-01\n(1 row)\nd\n2026-01-02\n(1 row)\nd\n2026-02-01\n",
		why => 'values are read in the style that the string has set' } ]);

my $remote = start_remote(max_prepared_transactions => 5);
my $local = start_local(max_prepared_transactions => 5);
my %modes = map { ($_ => { 'pool_dblink.mode' => $_ }) } 'session', 'transaction';

PoolTest::hba($remote, 'scram-sha-256', 'host all trusted 127.0.0.1/32 trust');
$remote->reload;
sql($remote, <<'SQL');
CREATE ROLE boss LOGIN SUPERUSER PASSWORD 'secret';
CREATE ROLE stylish LOGIN PASSWORD 'secret';
CREATE ROLE trusted LOGIN PASSWORD 'secret';
GRANT stylish TO app;
SQL
sql($local, 'CREATE ROLE alice LOGIN; CREATE ROLE bob LOGIN');

foreach my $encoding ('UTF8', 'LATIN1')
{
	my $prefix = lc $encoding;
	my @scripts = grep { /^encodings$/ ? $encoding eq 'LATIN1' : $encoding eq 'UTF8' } scripts();

	differential_database($local, $remote, "${prefix}_dblink", encoding => $encoding,
		extensions => ['dblink']);
	differential_database($local, $remote, "${prefix}_$_", encoding => $encoding,
		extensions => [ 'pool', 'pool_dblink' ], settings => $modes{$_})
	  foreach sort keys %modes;
	foreach my $script (@scripts)
	{
		my @items = items_of($script);
		my @theirs = run_items($local, "${prefix}_dblink", $script, @items);

		foreach my $mode (sort keys %modes)
		{
			compare_items($script, $mode, \@items, \@theirs,
				[ run_items($local, "${prefix}_$mode", $script, @items) ], \%differences);
		}
	}
}

is(join(' ', grep { $differences{everywhere}{seen}{$_} } sort keys %modes),
	join(' ', sort keys %modes),
	"differs everywhere by design: $differences{everywhere}{why}");
no_crash($local, $remote);
done_testing();

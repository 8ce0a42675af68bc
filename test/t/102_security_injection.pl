# 102_security_injection.pl
#	What is a value stays a value: in each option that libpq has, in the names of
#	databases, roles and servers, and in parameters.  Values look like the end of a
#	literal, like connection strings, like statements; a listener counts who follows
#	them, and the remote has a function that tells who has called it.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::Listener;
use Test::More;

my $remote = start_remote();
my $local = start_local();
my $evil = mute_remote();
my $there = $evil->sockport;
create_server($local, 'srv', $remote);

#
# Options: all that may be written on a server or on a mapping, as the validator
# names them
#
my %named;
foreach my $object ('server', 'mapping')
{
	my ($hint) = (sql_state($local, "SELECT pool_fdw_validator('{nothing_like_it=x}',"
			. ($object eq 'server' ? "'pg_foreign_server'" : "'pg_user_mapping'") . '::regclass)'))
	  [1] =~ /Valid options in this context are: (.*)\./;

	$named{$object} = [ split /, /, $hint || '' ];
}
cmp_ok(scalar @{ $named{server} }, '>', 50, 'the validator names the options of servers');
cmp_ok(scalar @{ $named{mapping} }, '>', 5, 'the validator names the options of mappings');

my @values = (
	"%s%n\\' host='127.0.0.1' port='$there", "127.0.0.1\nhost=127.0.0.1 port=$there",
	"postgresql://127.0.0.1:$there/postgres", 'x' x 65536);
my $session = session($local);
my $understood = qr/^(00000|HV024|08001|28000|28P01|3D000|54000|0A000)$/;
my ($accepted, $connected, @strange) = (0, 0);
foreach my $object ('server', 'mapping')
{
	foreach my $option (@{ $named{$object} })
	{
		foreach my $value (@values)
		{
			my %options = (host => '127.0.0.1', port => $remote->port, dbname => 'postgres');
			my %mapping = (user => 'app', password => $PoolTest::password);
			(my $literal = $value) =~ s/'/''/g;
			my %how = (retry_attempts => 0, breaker_threshold => 0, connect_timeout => '5s');

			%options = (%options, %how);
			($object eq 'server' ? \%options : \%mapping)->{$option} = $literal;
			my $list = join ', ', map { "$_ '$options{$_}'" } sort keys %options;
			my $user = join ', ', map { "$_ '$mapping{$_}'" } sort keys %mapping;
			my $result = $session->query("BEGIN;
				CREATE SERVER new FOREIGN DATA WRAPPER pool OPTIONS ($list)");

			$result = $session->query("CREATE USER MAPPING FOR CURRENT_USER SERVER new"
				  . " OPTIONS ($user)") if $result->{state} eq '00000';
			if ($result->{state} eq '00000')
			{
				$accepted++;
				$result = $session->query(select_42('new'));
				$connected++ if $result->{out} eq '42';
			}
			$session->query('ROLLBACK');

			# An answer, or an error that says what is wrong; there is no such database.
			push @strange, "$option: $result->{state} $result->{err}"
			  if $option eq 'dbname' && $result->{state} eq '00000'
			  || $result->{state} !~ $understood
			  && !($result->{state} eq '42601' && $option =~ /^(options|reset_query)$/);
		}
	}
}
# Words, numbers, ports and addresses are refused when they are written.
cmp_ok($accepted, '>', 60, "values were taken as written: $accepted");
cmp_ok($connected, '>', 5, "with some of them there is a connection: $connected");
is(join("\n", @strange), '', 'what is no right value is a clear error');
is(scalar accept_all($evil), 0, 'no value of an option leads to another host or port');
is($session->query(select_42('srv'))->{out}, '42', 'the worker has survived them');

#
# Names: the proof tells the remote who is asking, in a literal.  There backslashes
# may mean something, too.
#
$remote->safe_psql('far', <<'SQL', connstr => $remote->connstr('far') . ' user=app');
CREATE TABLE called (by text);
CREATE FUNCTION boom() RETURNS text LANGUAGE sql AS
$$ INSERT INTO called VALUES (current_query()) RETURNING 'boom' $$;
ALTER ROLE app SET standard_conforming_strings = off;
ALTER ROLE app SET backslash_quote = on;
SQL
my $who = q(select application_name from pg_stat_activity where pid = pg_backend_pid());
foreach my $name (q{x', false), boom('}, q{x\', false), boom(), ('}, q{x'; select boom(); --\\},
	"\x{c3}\x{a9}'\n\$x\$\"")
{
	(my $identifier = $name) =~ s/"/""/g;
	(my $literal = $name) =~ s/'/''/g;
	(my $shown = $name) =~ s/\n/\\n/g;

	sql($local, qq(CREATE ROLE "$identifier" LOGIN SUPERUSER; CREATE DATABASE "$identifier"));
	my $inside = session($local, db => $name);
	my $setup = $inside->query(<<"SQL");
CREATE EXTENSION pool;
CREATE SERVER "$identifier" FOREIGN DATA WRAPPER pool OPTIONS (host '127.0.0.1',
	port '@{[ $remote->port ]}', dbname 'far', max_size '1');
CREATE USER MAPPING FOR "$identifier" SERVER "$identifier"
	OPTIONS (user 'app', password '$PoolTest::password');
SET ROLE "$identifier";
SQL
	is($setup->{err}, '', "a database, a role and a server have the name $shown");
	foreach my $turn (1, 2)
	{
		my $answer = $inside->query("SELECT a FROM pool_query('$literal', '$who') AS t(a text)");

		is($answer->{err}, '', "a statement of $shown works, turn $turn");
		like($answer->{out}, qr/^[0-9a-f]{16} pool [\w?.\$@+-]+ [\w?.\$@+-]+/,
			"the remote is told a plain name instead of $shown, turn $turn");
		$inside->query(q(RESET ROLE; SELECT pool_reconnect(srvname) FROM pg_foreign_server;)
			  . qq(SET ROLE "$identifier"));
	}
	my $parameter = $inside->query(
		"SELECT a FROM pool_query('$literal', 'select \$1::text', '$literal') AS t(a text)");
	is($parameter->{out}, $name, "a parameter $shown is what it is");
	$inside->quit;
}
is(sql($remote, 'SELECT count(*) FROM called', db => 'far'), 0,
	'nothing was called by the name of a database, role or server');
$session->quit;
settled($local);
no_crash($local, $remote);

done_testing();

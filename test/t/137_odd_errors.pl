# 137_odd_errors.pl
#	An error to which the remote gives the SQLSTATE of success is an error all the same:
#	of a statement, in the proof before it, and as the last word of a session.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::FakeRemote;
use PoolTest::Requests;
use PoolTest::Wire;
use Test::More;

my $local;
{
	# What the server gives back of its memory is overwritten.
	local $ENV{MALLOC_PERTURB_} = 90;
	$local = start_local();
}
my $fake = start_fake_remote(
	sub {
		my ($usual, $query, $type, $name) = @_;
		my $where = $name eq 'proof' ? qr/^DISCARD/ : qr/ill/;

		return $usual if $type ne 'P' || $query !~ $where;
		return report('E', $name =~ /^f/ ? 'FATAL' : 'ERROR', '00000', "it is ill: $name");
	});
sql($local, "CREATE SERVER fake FOREIGN DATA WRAPPER pool OPTIONS (host '127.0.0.1', "
	  . "port '$fake->{port}', dbname 'fake', max_size '4', statement_cache '0'); "
	  . 'CREATE USER MAPPING FOR CURRENT_USER '
	  . q(SERVER fake OPTIONS (user 'app', password 'secret')));
sql($local, 'CREATE EXTENSION pool_dblink');
create_caught($local);

my %ask = (
	'dblink()' => q{SELECT t FROM dblink('fake', 'select 1 /* ill */') AS r(t text)},
	'dblink_exec()' => q{SELECT dblink_exec('fake', 'update ill')},
	'dblink_send_query()' => q{SELECT t FROM dblink_get_result((SELECT concat('x',
		left(dblink_send_query('x', 'select 1 /* ill */')::text, 0)))) AS r(t text)},
	'pool_query()' => q{SELECT t FROM pool_query('fake', 'select 1 /* ill */') AS r(t text)},
	'pool_query_all()' => q{SELECT sqlstate || ' ' || error FROM pool_query_all('{fake}',
		'select 1 /* ill */', on_error => 'row') AS r(server text, sqlstate text, error text, t text)}
);

foreach my $name ('error', 'fatal', 'proof')
{
	play_fake($fake, $name);
	foreach my $what (sort keys %ask)
	{
		my $session = session($local);

		$session->query(q(SELECT pool_reconnect('fake'); SELECT dblink_connect('x', 'fake')));
		like(caught($session, $ask{$what}), qr/^XX000 .*it is ill: $name/,
			"$what raises it: $name");
		$session->quit;
	}
}

#
# Where in the source an error was raised, which whoever shows it reads when the memory
# of the call may be gone: in an expression of a DO block, with arguments so long that
# what is copied of the error lies in memory of its own
#
my $session = session($local);
$session->query('\\set VERBOSITY verbose');

# location_of(call, expected, what): a test: where the error of the expression is from
sub location_of
{
	my ($call, $expected, $what) = @_;
	my $answer =
	  $session->query("DO \$do\$ DECLARE t text; BEGIN t := $call; END \$do\$");

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return like($answer->{err}, qr/^LOCATION:  \w+, $expected:\d+$/m, $what);
}

play_fake($fake, 'place');
$session->query(q(SELECT dblink_connect('x', 'fake')));
foreach my $size (7000, 7500, 8000)
{
	my $long = ' ' x $size;

	location_of("dblink_exec('x', 'update ill $long')",
		'remote_report\.c', "an error of the remote, of a statement of $size bytes");
	location_of("dblink_connect('y', 'host=127.0.0.1 port=1 user=x dbname=x $long')",
		'acquire_error\.c', "a connection string of $size bytes that leads nowhere");
}
$session->quit;

settled($local);
stop_fake_remote($fake);
no_crash($local);

done_testing();

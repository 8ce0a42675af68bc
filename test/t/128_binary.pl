# 128_binary.pl
#	Remotes that have returned a large result, are asked to describe the statement
#	the next time, and lie: about the columns, before or while it is executed, or
#	in the bytes of a value.  Each session gets an error with an SQLSTATE, no value
#	is read as what it is not, and the pool goes on with the next statement.  From
#	a remote that is slow to describe no description is asked for a while.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::HostileServer;
use PoolTest::Wire;
use Test::More;

my $many = 1000;
my $int4 = 23;
my $text = 25;
my $five = pack 'N', 5;

# large(value): a large result, the answer to a statement that is not described
sub large
{
	my ($value) = @_;

	return columns('a') . row($value) x $many . complete("SELECT $many");
}

# typed(type, format): RowDescription of one column
sub typed
{
	my ($type, $format) = @_;

	return message('T', pack 'nZ*NnNnNn', 1, 'a', 0, 0, $type, -1, -1, $format);
}

# array(dimensions, type, sizes...): the beginning of an array
sub array
{
	my ($dimensions, $type, @sizes) = @_;

	return pack 'NNNN*', $dimensions, 0, $type, @sizes;
}

# described(parts): a play that has a large result for the statement at first.  From
# then on it answers to Parse and Describe with "described", and to Bind with "columns"
# and "value" if that asks for the format that it should.  It lets "wait" seconds go
# by before the former, and has "start" in the place of what is usual.
sub described
{
	my (%part) = (described => typed($int4, 0), columns => typed($int4, 1), @_);

	return sub {
		my ($c) = @_;
		my $descriptions = 0;

		$c->let_in($part{start} ? %{ $part{start} } : ());
		while (my @asked = $c->ask)
		{
			if ($asked[-1] =~ /^H/)
			{
				$descriptions++;
				select undef, undef, undef, $part{wait} if $part{wait};
				$c->put(message('1', ''), message('t', pack 'n', 0), $part{described});
				return if $part{ends};
			}
			elsif ($asked[0] =~ /^B/)
			{
				# What the client asks for is the last word of Bind.
				my $format = unpack 'n', substr $asked[0], -2;
				my $rows = $part{columns} . row($part{value} // $five) x ($part{rows} // 1);

				$rows = typed($text, 0) . row("format $format")
				  if $format != ($part{format} // 1);
				$c->put(message('2', ''), $rows, complete('SELECT 1'))
				  if $part{described} !~ /^E/;
				$c->put(message('Z', 'I'));
			}
			else
			{
				$c->put($c->answer(\@asked, large(5 - $descriptions)));
			}
		}
	};
}

# By name: the play, the column's type in the query, and what comes of it
my %case = (
	'what it has described' => [ described(), 'int', '00000 5' ],
	'text in place of binary values' =>
	  [ described(columns => typed($int4, 0), value => '5'), 'int', '00000 5' ],
	'no columns' => [ described(described => message('n', ''), format => 0,
			columns => typed($int4, 0), value => '5'), 'int', '00000 5' ],
	'a column of another type' =>
	  [ described(described => typed(20, 0), format => 0, columns => typed(20, 0), value => '5'),
		'int', '00000 5' ],
	'binary values where text was asked for' =>
	  [ described(described => typed(20, 0), format => 0, columns => typed(20, 1),
			value => pack 'q>', 5), 'int', '0A000' ],
	'another column than it has described' =>
	  [ described(columns => typed(20, 1), value => pack 'q>', 5), 'int', '0A000' ],
	'more columns than it has described' =>
	  [ described(columns => columns('a', 'b'), value => $five), 'int', '08006|42804' ],
	'a type that has no binary format here' =>
	  [ described(columns => typed(3802, 1), value => "\1{}", format => 0), 'jsonb', '0A000' ],
	'a format that nobody knows' =>
	  [ described(columns => typed($int4, 7)), 'int', '00000 5' ],
	'a value that is too short' => [ described(value => "\0\0"), 'int', '08P01' ],
	'a value that is too long' => [ described(value => "$five\0"), 'int', '22P03' ],
	'a value of no bytes' => [ described(value => ''), 'int', '08P01' ],
	'a string that is no text' =>
	  [ described(described => typed($text, 0), columns => typed($text, 1), value => "\xff"),
		'text', '22021' ],
	'a string with a zero byte' =>
	  [ described(described => typed($text, 0), columns => typed($text, 1), value => "a\0b"),
		'text', '22021' ],
	'a number with odd digits' =>
	  [ described(described => typed(1700, 0), columns => typed(1700, 1),
			value => pack 'nnnnn', 1, 0, 0, 0, 60000), 'numeric', '22P03' ],
	'a number of 65535 digits that do not come' =>
	  [ described(described => typed(1700, 0), columns => typed(1700, 1),
			value => pack 'nnnn', 65535, 0, 0, 0), 'numeric', '08P01|22P03' ],
	'a time in no year' =>
	  [ described(described => typed(1184, 0), columns => typed(1184, 1),
			value => pack 'NN', 2**31, 1), 'timestamptz', '22008' ],
	'an array of too many dimensions' =>
	  [ described(described => typed(1007, 0), columns => typed(1007, 1),
			value => array(2**31 - 1, $int4)), 'int[]', '54000|22P03' ],
	'an array of too many values' =>
	  [ described(described => typed(1007, 0), columns => typed(1007, 1),
			value => array(2, $int4, 2**30, 1, 2**30, 1)), 'int[]', '54000|22P03' ],
	'an array of values of another type' =>
	  [ described(described => typed(1007, 0), columns => typed(1007, 1),
			value => array(1, $text, 1, 1) . pack 'NN', 4, 5), 'int[]', '42804' ],
	'an error in place of the description' =>
	  [ described(described => report('E', 'ERROR', '42P01', 'gone')), 'int', '42P01' ],
	'the end of the session in place of the description' =>
	  [ described(described => report('E', 'FATAL', '57P01', 'bye'), ends => 1), 'int', '57P01' ],
	'the end of the connection in place of the description' =>
	  [ described(described => '', ends => 1), 'int', '08006' ],
	'a row in place of the description' =>
	  [ described(described => typed($int4, 0) . row('1') . complete('SELECT 1'), ends => 1),
		'int', '08006' ],
	'an empty answer in place of the description' =>
	  [ described(described => message('I', ''), format => 0, columns => typed($int4, 0),
			value => '5'), 'int', '00000 5' ],
	'a COPY in place of the description' =>
	  [ described(described => message('H', pack 'Cn', 0, 0), ends => 1), 'int', '08006|0A000' ],
	'a server older than version 10' =>
	  [ described(value => pack('N', 4), start => { parameters => join '', map { message('S', $_) }
			"server_version\0009.6.1\0", "client_encoding\0UTF8\0" }), 'int', '00000 5' ],
	'nothing in place of the description' => [ described(described => ''), 'int', '57014' ]);

# A play that answers with the formats of the parameters
sub formats
{
	my ($c) = @_;

	$c->let_in;
	while (my @asked = $c->ask)
	{
		my ($bind) = reverse grep { /^B/ } @asked;
		my $formats = join ' ', unpack 'n/n', substr $bind, 7;

		$c->put($c->answer(\@asked, columns('a'), row($formats), complete('SELECT 1')));
	}
	return;
}

# A play that answers to several statements, and to the last of them with a value that
# has a zero byte in it
sub several
{
	my ($c) = @_;

	$c->let_in;
	while (my @asked = $c->ask)
	{
		$c->put($asked[0] =~ /^Q/
			? (columns('a'), row('x'), complete('SELECT 1'), columns('a'), row("a\0b"),
				complete('SELECT 1'), message('Z', 'I'))
			: $c->answer(\@asked));
	}
	return;
}

my %plays = ((map { $_ => $case{$_}[0] } keys %case), 
	slow => described(wait => 2 * ($ENV{POOL_TEST_PATIENCE} || 1), rows => $many),
	vain => described(described => typed(20, 0), format => 0, columns => typed(20, 0), value => '5',
		rows => $many), formats => \&formats, several => \&several,
	cancel => sub { });
my $port = start_hostile_server(%plays);
my $remote = start_remote();
my $local = start_local(max_connections => 150);

# ask(server, type): the statement for that play
sub ask
{
	my ($server, $type) = @_;

	return "SELECT max(a) FROM pool_query('$server', 'select ''x''') AS r(a $type)";
}

# Each in a session of its own, which has no large text yet
foreach my $name (sort keys %case)
{
	my (undef, $type, $expected) = @{ $case{$name} };
	my $server = new_server($local, $remote,
		{ port => $port, dbname => $name, query_timeout => '15s', retry_attempts => 1,
			statement_cache => 0 });
	my $session = session($local);
	my $query = $type =~ /json/ ? ask($server, $type) =~ s/max\(a\)/count(*)/r : ask($server, $type);

	is($session->query(ask($server, 'text'))->{out}, '5', "a large result comes first: $name");
	my $result = $session->query($query, 30);
	like(join(' ', grep { $_ ne '' } @{$result}{ 'state', 'out' }), qr/^(?:$expected)$/,
		"a session gets what it should for $name") or diag($result->{err});
	is($session->query(select_42($server) =~ s/int/text/r)->{out},
		'done', "the statement after $name is answered");
	$session->quit;
	sql($local, "DROP SERVER $server CASCADE");
}

#
# A large result that is a small one now
#
my $server = new_server($local, $remote,
	{ port => $port, dbname => 'what it has described', statement_cache => 0 });
my $session = session($local);

$session->query(ask($server, 'text'));
is($session->query(ask($server, 'int'))->{out}, '5', 'a small result after a large one is described');
is($session->query(ask($server, 'int'))->{out}, '4', 'the one after a small one is not');
$session->quit;

#
# A result that no description makes binary
#
$server = new_server($local, $remote, { port => $port, dbname => 'vain', statement_cache => 0 });
$session = session($local);

$session->query(ask($server, 'text'));
is($session->query(ask($server, 'int'))->{out}, '5', 'a column of another type is described once');
is($session->query(ask($server, 'int'))->{out}, '4', 'and then no more');
$session->quit;

#
# A remote that is slow to describe
#
$server = new_server($local, $remote, { port => $port, dbname => 'slow', statement_cache => 0 });
$session = session($local);

$session->query(ask($server, 'text'));
is($session->query(ask($server, 'int'))->{out}, '5', 'a slow description is waited for') foreach 1 .. 3;
is($session->query(ask($server, 'int'))->{out}, '2', 'after three no more is asked for');
my $each = ask($server, 'int') =~ s/\) AS r/, g) AS r/r;
is( $session->query("SELECT string_agg(DISTINCT x::text, ' ') FROM generate_series(1, 101) g, "
	  . "LATERAL ($each) AS y(x)")->{out},
	'2 5', 'but again after a hundred runs');

#
# Parameters
#
$server = new_server($local, $remote, { port => $port, dbname => 'formats', statement_cache => 0 });
is( $session->query("SELECT a FROM pool_query('$server', 'select ''x''', 1, 1.5::float8, now(), "
	  . q('\x00'::bytea, array[1], array[1.5], array[now()], array['a'], array['1 day'::interval], )
	  . q{array['a'::name], array[current_date])} . ' AS r(a text)')->{out},
	'0 0 0 1 1 1 0 0 0 0 1',
	'arrays whose elements have one binary format everywhere are sent in it');

#
# A value that is put aside
#
$server = new_server($local, $remote, { port => $port, dbname => 'several', statement_cache => 0 });
is($session->query("SELECT * FROM pool_query('$server', 'select 1; select 2') AS r(a text)")->{state},
	'22021', 'a string with a zero byte is refused as the last of several results, too');
$session->quit;
settled($local);
stop_hostile_servers();
no_crash($local, $remote);
done_testing();

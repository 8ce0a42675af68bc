# 082_hostile_server.pl
#	Remotes that stall, talk nonsense or break the protocol, in the start-up and in
#	the answer to a statement: each session gets an error with an SQLSTATE in time,
#	other pools answer meanwhile, nothing is leaked, and as soon as the remote is
#	good the same pool works.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use List::Util qw(max);
use PoolTest;
use PoolTest::HostileServer;
use PoolTest::Wire;
use Test::More;

my $ok = message('R', pack 'N', 0);
my $ready = message('Z', 'I');
my $row_description = columns('a');
my $row = row('x');
my $done = complete('SELECT 1');
my $fatal = report('E', 'FATAL', '57P01', 'going away', '');

# begin_with(bytes...): a play that sends them and then stalls
sub begin_with
{
	my @bytes = @_;

	return sub { my ($c) = @_; $c->put(@bytes); $c->stall; };
}

# let_in(parts): a play that lets the client in with these in place of what is usual
sub let_in
{
	my %parts = @_;

	return sub { my ($c) = @_; $c->let_in(%parts); $c->serve; };
}

# again(bytes, first): a play that sends them for ever, after what comes first
sub again
{
	my ($bytes, $first) = @_;

	return sub { my ($c) = @_; $c->put($first // ''); $c->put($bytes x 100) while 1; };
}

# statement(bytes...): a play that is good up to the answer to the statement, and has
# these for it
sub statement
{
	my @bytes = @_;

	return sub {
		my ($c) = @_;

		$c->let_in;
		while (my @asked = $c->ask)
		{
			$c->put($c->answer(\@asked, @bytes));
		}
	};
}

my %start = (
	'closes at once' => sub { },
	'says nothing' => begin_with(),
	'speaks another protocol' => begin_with("HTTP/1.1 400 Bad Request\r\n\r\n"),
	'has a length of -1' => begin_with(message('R', '', 2**32 - 1)),
	'has a length of 0' => begin_with("R\0\0\0\0"),
	'has a length of 3' => begin_with("R\0\0\0\3"),
	'has a length of two gigabytes' => begin_with(message('R', 'x' x 1000, 2**31 - 1)),
	'stalls in a message' => begin_with(substr $ok, 0, 5),
	'stalls after AuthenticationOk' => begin_with($ok),
	'stalls in the parameters' => begin_with($ok, message('S', "a\0b\0"), 'S'),
	'stalls after BackendKeyData' => begin_with($ok, message('K', pack 'NN', 1, 2)),
	'stalls in ReadyForQuery' => begin_with($ok, substr $ready, 0, 5),
	'asks for nothing in particular' => begin_with(message('R', '')),
	'asks for an authentication that is not known' => begin_with(message('R', pack 'N', 99)),
	'asks for SASL without a mechanism' => begin_with(message('R', pack 'N a', 10, "\0")),
	'asks for SASL with another mechanism' =>
	  begin_with(message('R', pack 'N Z* a', 10, 'ROT13', "\0")),
	'goes on with SASL that was not begun' => begin_with(message('R', pack 'N a*', 11, 'r=x')),
	'ends SASL that was not begun' => begin_with(message('R', pack 'N a*', 12, 'v=x')),
	'asks for MD5 without a salt' => begin_with(message('R', pack 'N', 5)),
	'asks for the password for ever' => again(message('R', pack 'N', 3)),
	'lets in and ends with FATAL' => begin_with($ok, $fatal),
	'has an error without a field' => begin_with(message('E', '')),
	'has an error without an SQLSTATE' => begin_with(message('E', "SFATAL\0Mno\0\0")),
	'has an error that does not end' => begin_with(message('E', "SFATAL\0C28000\0Mno")),
	'has an error of protocol 2' => begin_with("Eno such thing\n\0"),
	'has parameters without end' => again(message('S', "some\0" . 'x' x 100 . "\0"), $ok),
	'has notices without end' => again(message('N', "SNOTICE\0C00000\0Mx\0\0"), $ok),
	'has a notice that does not end' => begin_with($ok, message('N', 'SNOTICE')),
	'has a parameter that does not end' => let_in(parameters => message('S', 'x' x 100)),
	'has a parameter of no name' => let_in(parameters => message('S', "\0\0")),
	'has a key of four bytes' => let_in(key => message('K', pack 'N', 1)),
	'has a key of no bytes' => let_in(key => message('K', '')),
	'has a key of a hundred bytes' => let_in(key => message('K', 'x' x 100)),
	'is ready in an odd state' => let_in(ready => message('Z', 'X')),
	'is ready in a transaction' => let_in(ready => message('Z', 'T')),
	'is ready without a state' => let_in(ready => message('Z', '')),
	'is ready twice' => let_in(ready => $ready x 2),
	'has rows before it is ready' => let_in(ready => $row_description . $row . $done . $ready),
	'is let in twice' => let_in(ok => $ok x 2),
	'knows another protocol only' => begin_with(message('v', pack 'N N', 3 << 16, 2**31 - 1)),
	'has an encoding that nobody knows' =>
	  let_in(parameters => message('S', "client_encoding\0KLINGON\0")));

my %answer = (
	'65535 columns that are not there' => statement(message('T', pack 'n', 65535)),
	'a negative number of columns' => statement(message('T', pack 'n', 32768)),
	'a column that does not end' => statement(message('T', pack 'n a*', 1, 'a')),
	'a row longer than its message' =>
	  statement($row_description, message('D', pack 'nNa*', 1, 1000, 'x'), $done),
	'a value of length -2' =>
	  statement($row_description, message('D', pack 'nN', 1, 2**32 - 2), $done),
	'a row of two values for one column' => statement($row_description, row('x', 'x'), $done),
	'a row of no value' => statement($row_description, row(), $done),
	'a row of 65535 values' => statement($row_description, message('D', pack 'n', 65535), $done),
	'a row with bytes to spare' =>
	  statement($row_description, message('D', pack 'nNa*', 1, 1, 'xyz'), $done),
	'a row of a gigabyte that does not come' =>
	  statement($row_description, message('D', pack('nN', 1, 2**30), 2**30 + 10)),
	'a row without a description' => statement($row, $done),
	'a length of -1' => statement($row_description, message('D', '', 2**32 - 1)),
	'a length of 3' => statement($row_description, "D\0\0\0\3", $done),
	'two descriptions' => statement($row_description x 2, $row, $done),
	'two descriptions and no end' => statement($row_description x 2),
	'two ends' => statement($row_description, $row, $done x 2),
	'no end' => statement($row_description, $row),
	'an end that does not end' => statement($row_description, $row, message('C', 'SELECT 1')),
	'an end without a text' => statement($row_description, $row, message('C', '')),
	'an error without a field' => statement(message('E', '')),
	'an error without an SQLSTATE' => statement(message('E', "SERROR\0VERROR\0Mno\0\0")),
	'an error without a message' => statement(message('E', "SERROR\0VERROR\0C22012\0\0")),
	'an error of an odd SQLSTATE' => statement(message('E', "SERROR\0VERROR\0C?\0Mno\0\0")),
	'an error that does not end' => statement(message('E', "SERROR\0VERROR\0C22012\0Mno")),
	'an error that is no text' =>
	  statement(message('E', "SERROR\0VERROR\0C22012\0M\xff\xfe %s %n\0\0")),
	'a notice that does not end' =>
	  statement(message('N', 'SNOTICE'), $row_description, $row, $done),
	'a notification that does not end' =>
	  statement(message('A', pack 'N a*', 1, 'x'), $row_description, $row, $done),
	'a parameter that does not end' => statement(message('S', 'x'), $row_description, $row, $done),
	'CopyInResponse' => statement(message('G', pack 'Cn', 0, 0)),
	'CopyOutResponse' =>
	  statement(message('H', pack 'Cn', 0, 0), message('d', 'x'), message('c', '')),
	'CopyBothResponse' => statement(message('W', pack 'Cn', 0, 0)),
	'CopyOutResponse of 65535 columns' => statement(message('H', pack 'Cn', 0, 65535)),
	'CopyData' => statement(message('d', 'x' x 1000), $done),
	'FunctionCallResponse' => statement(message('V', pack 'N a4', 4, 'xxxx'), $done),
	'PortalSuspended' => statement($row_description, $row, message('s', '')),
	'a message that nobody knows' => statement(message('~', 'x')),
	'ReadyForQuery in a transaction' =>
	  statement($row_description, $row, $done, message('Z', 'T')),
	'ReadyForQuery in an odd state' => statement($row_description, $row, $done, message('Z', 'X')),
	'ReadyForQuery without a state' => statement($row_description, $row, $done, message('Z', '')),
	'a password prompt' => statement(message('R', pack 'N', 3)),
	'another key' => statement(message('K', pack 'NN', 1, 1), $row_description, $row, $done),
	'a value that is no text' => statement($row_description, row("\xff\xfe"), $done),
	'a value with a zero byte' => statement($row_description, row("a\0b"), $done),
	'a type that nobody knows' =>
	  statement(message('T', pack 'nZ*NnNnNn', 1, 'a', 0, 0, 999999, -1, -1, 0), $row, $done),
	'a binary value' =>
	  statement(message('T', pack 'nZ*NnNnNn', 1, 'a', 0, 0, 25, -1, -1, 1), $row, $done));

# What the session gets: 08001 from a start that fails, 08006 or 57014 (the time is
# over) from an answer, but for these.  Some things do no harm.
my %expected = (
	'start: lets in and ends with FATAL' => '57P01',
	'start: has an encoding that nobody knows' => '55000',
	(map { ("start: $_" => '00000 done') } 'has a parameter of no name',
		'is ready in a transaction', 'is ready in an odd state', 'is ready twice'),
	(map { ("answer: $_" => '0A000') } 'CopyInResponse', 'CopyOutResponse', 'CopyBothResponse'),
	'answer: an error that is no text' => '22012',
	'answer: an error without a message' => '22012',
	'answer: a value that is no text' => '22021',
	'answer: a value with a zero byte' => '22021',
	'answer: a value of length -2' => '00000',
	'answer: CopyData' => '00000',
	(map { ("answer: $_" => '00000 x') } 'another key', 'a binary value',
		'a type that nobody knows'));

my %plays = (
	(map { ("start: $_" => $start{$_}) } keys %start),
	(map { ("answer: $_" => $answer{$_}) } keys %answer),
	cancel => sub { });
my @names = sort grep { $_ ne 'cancel' } keys %plays;
my $port = start_hostile_server(%plays);
my $remote = start_remote();
my $local = start_local(
	max_connections => 150,
	'pool.max_connections' => 120,
	'pool.max_pools' => 120);
create_server($local, 'srv', $remote);
my %server = map {
	$_ => new_server($local, $remote,
		{ port => $port, dbname => $_, connect_timeout => '10s', query_timeout => '10s',
		  retry_attempts => 1, breaker_threshold => 0, acquire_timeout => '40s' })
} @names;
my $watch = session($local);
$watch->query(select_42('srv'));
my $worker = worker_pid($local);
my ($files, $memory) = figures();

# figures(): how many files the worker has open, and its memory in kB
sub figures
{
	return (scalar descriptors($worker), memory_of($worker, 'VmRSS'));
}

# ask(name): the statement for that play
sub ask
{
	return "SELECT t FROM pool_query('$server{$_[0]}', 'select ''x''') AS r(t text)";
}

#
# All at once, while another pool makes connections as well
#
my %session = map { $_ => session($local) } @names;
my ($slowest, $times, $failed) = (0, 0, '');
$session{$_}->begin(ask($_)) foreach @names;
do
{
	my $answer = $watch->query(q(SELECT pool_reconnect('srv'); ) . select_42('srv'));

	$times++;
	$failed .= $answer->{err};
	$slowest = max($slowest, $answer->{secs});
} while (grep { $_->busy } values %session);
is($failed, '', 'another pool connects and answers meanwhile');
cmp_ok($slowest, '<', 30, 'the other pool never takes long for that');
note sprintf 'the other pool answered %d times, after %.0f ms at most', $times, 1000 * $slowest;

foreach my $name (@names)
{
	my $result = $session{$name}->result;
	my $expected = $expected{$name} || ($name =~ /^start/ ? '08001' : '08006|57014');

	like(join(' ', grep { $_ ne '' } @{$result}{ 'state', 'out' }), qr/^(?:$expected)$/,
		"a session gets what it should from a remote: $name") or diag($result->{err});
	cmp_ok($result->{secs}, '<', 60, "a session does not wait for ever: $name");
}
is(worker_pid($local), $worker, 'the worker is the same after all that');

#
# The remote is good again: no pool has kept anything.
#
be_good($port);
sql($local, 'SELECT pool_reconnect(server) FROM pool_stats');
$session{$_}->begin(ask($_)) foreach @names;
my @bad = grep { $session{$_}->result->{out} ne 'done' } @names;
is(join(', ', @bad), '', 'all pools work when the remote is good');
settled($local, undef, 30);
$_->quit foreach values %session;
sql($local, "DROP SERVER $_ CASCADE") foreach values %server;
ok(wait_until(30, sub { return (figures())[0] <= $files; }),
	'the worker has as many files open as before when the pools are gone');
my ($files_after, $memory_after) = figures();
cmp_ok($memory_after - $memory, '<', 32 * 1024, 'the worker has not much more memory than before');
note "worker: $files files and $memory kB before, $files_after and $memory_after after";
remote_count($local, $remote);
$watch->quit;
stop_hostile_servers();
no_crash($local, $remote);
done_testing();

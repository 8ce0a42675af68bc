# 088_not_the_answer.pl
#	What comes from a remote and is not the answer to this statement: a proof with
#	another nonce or without one, notices and rows of somebody before, answers that
#	come too late.  No such row is ever shown; the session gets an error, and the
#	next statement its own answer over another connection.  A fake remote sends
#	what a real one never would.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::FakeRemote;
use PoolTest::Wire;
use Test::More;

# answered(value): a row of it, and the end of the statement
sub answered
{
	my ($value) = @_;

	return row($value) . complete('SELECT 1');
}

my $stale = columns('a') . answered('somebody else\'s') . message('Z', 'I');
my $last_proof = answered('none');

# What is sent in the place of an answer, in the case of that name: to the reset,
# to the SELECT of the proof or to the statement, for each message of it
my %script = (
	'a proof with another nonce' =>
	  { proof => { E => sub { return answered('0123456789abcdef pool') } } },
	'a proof with the nonce of before' => { proof => { E => sub { return $_[1] } } },
	'a proof without a row' => { proof => { E => sub { return complete('SELECT 0') } } },
	'a proof in two columns' => {
		proof => {
			D => sub { return columns('a', 'a') },
			E => sub {
				my $value = substr $_[0], 11, unpack('x7N', $_[0]);

				return row($value, 'x') . complete('SELECT 1');
			} } },
	'a COPY in the place of the reset' =>
	  { reset => { E => sub { return message('H', pack 'Cnn', 0, 1, 0) } } },
	'an answer too many' => { statement => { S => sub { return $_[0] . $stale } } },
	'an answer without an end' => {
		statement => { E => sub { return message('D', pack 'nNa*', 1, 4, 'half') } } },
	'no answer' => { statement => { D => sub { return '' }, E => sub { return '' } } },
	'an answer behind the proof' => { proof => { S => sub { return $_[0] . $stale } } },
	'an answer that comes too late' => { statement => { S => sub { return ($_[0], $stale) } } },
	'a notice before the proof' =>
	  { reset => { P => sub { return (report('N', 'NOTICE', '00000', 'hark'), $_[0]) } } },
	'a notice behind the proof' =>
	  { statement => { E => sub { return report('N', 'NOTICE', '00000', 'hark') . $_[0] } } },
	'a message for the log' =>
	  { statement => { E => sub { return report('N', 'LOG', '00000', 'hark') . $_[0] } } },
	'a reset that is refused' =>
	  { reset => { E => sub { return report('E', 'ERROR', '57014', 'canceled') } } },
	'an error with bytes that are no text' =>
	  { statement => { E => sub { return report('E', 'ERROR', '22012', "no \xff text") } } },
	'an error with half an SQLSTATE' =>
	  { statement => { E => sub { return report('E', 'ERROR', '57', 'half') } } },
	'a value that is no text' => { statement => { E => sub { return answered("\xff") } } },
	'a column whose name is no text' => { statement => { D => sub { return columns("\xff") } } },
	'two thousand columns' => {
		statement => {
			D => sub { return columns(('a') x 2000) },
			E => sub { return complete('SELECT 0') } } });

my $fake = start_fake_remote(
	sub {
		my ($usual, $query, $type, $name) = @_;
		my $what =
		  $query =~ /application_name/ ? 'proof' : $query =~ /^DISCARD/ ? 'reset' : 'statement';
		my $before = $last_proof;
		my $do = $script{$name}{$what}{$type};

		$last_proof = $usual if $what eq 'proof' && $type eq 'E';
		return $do->($usual, $before) if $do;
		return $name eq 'a notice before the proof' ? ('', $usual) : $usual;
	});
my $local = start_local();
my $session = session($local);

sql($local, "CREATE SERVER fake FOREIGN DATA WRAPPER pool OPTIONS (host '127.0.0.1', "
	  . "port '$fake->{port}', dbname 'fake', max_size '4'); CREATE USER MAPPING FOR CURRENT_USER "
	  . q(SERVER fake OPTIONS (user 'app', password 'secret')));

# ask(what, statement): in that case, over a connection that is new, and so has a
# proof; the statement after it is answered
sub ask
{
	my ($what, $statement) = @_;
	my $answer;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	foreach my $name ($what, '')
	{
		play_fake($fake, $name);
		$session->query(q(SELECT pool_reconnect('fake')));
		$answer = $session->query($statement, 20) if $name;
	}
	is($session->query(select_42('fake') =~ s/int/text/r)->{out},
		'done', "the statement after $what is answered");
	return $answer;
}

my $select = q(SELECT t FROM pool_query('fake', 'select 1') AS r(t text));
my $call = q(SELECT pool_exec('fake', 'call f()'));
my $answer;

#
# What is no proof
#
$session->query($select);
foreach my $what (grep { /a proof|COPY/ && !/notice/ } sort keys %script)
{
	$answer = ask($what, $select);
	is($answer->{state}, '08006', "$what is an error");
	is($answer->{out}, '', "$what lets no row through");
	like($answer->{err}, qr/may have been executed/, "the error for $what says what it may mean");
}

#
# Answers that nobody has asked for
#
$answer = ask('an answer too many', $select);
is($answer->{state}, '08006', 'an answer too many is an error');
like($answer->{err}, qr/out of step/, 'the error says that the remote is out of step');
$answer = ask('an answer behind the proof', $call);
is($answer->{state}, '08006', 'an answer behind the proof is not taken for the statement\'s');
like($answer->{err}, qr/not executed/, 'the statement is not sent behind such a proof');


# The first time with a proof before the statement, then without
foreach my $what ('an answer without an end', 'no answer')
{
	$answer = ask($what, $select);
	is("$answer->{out} $answer->{state}", ' 08006', "$what is an error");
	like($answer->{err}, qr/out of step/, "the error for $what says so");
	$session->query($select);
	play_fake($fake, $what);
	$answer = $session->query($select);
	is("$answer->{out} $answer->{state}", ' 08006', "$what is an error without a proof before it");
	play_fake($fake, '');
}

play_fake($fake, 'an answer that comes too late');
my $lease = $session->acquire('fake');
my $on_lease = $select =~ s/'fake'/$lease/r;
is($session->query($on_lease)->{out}, 'done', 'a lease is answered before the late answer');
ok(fake_goes_on($fake), 'the answer that comes too late has been sent');
$answer = $session->query($on_lease);
is($answer->{out}, '', 'the late answer is not taken for that to the next statement');
is($answer->{state}, '08006', 'the next statement is an error');
like($answer->{err}, qr/was not sent/, 'the error says that the statement was not sent');
$session->release($lease);
play_fake($fake, '');

#
# Notices
#
$session->query(q(SELECT pool_reconnect('fake')));
play_fake($fake, 'a notice before the proof');
$session->begin($select);
ok(fake_goes_on($fake), 'a notice has been sent before the proof');
$answer = $session->result;
is("$answer->{out} $answer->{err}", 'done ', 'a notice before the proof is not shown');
$answer = ask('a notice behind the proof', $select);
like($answer->{err}, qr/NOTICE:  00000: hark/, 'a notice behind the proof is shown');
my $log = log_offset($local);
$answer = ask('a message for the log', $select);
like($answer->{err}, qr/NOTICE:  00000: hark/, 'a message for the log is shown as a notice');
is(log_count($local, qr/hark/, $log), 0, 'a message of the remote does not get into the log');

#
# Errors, and columns
#
$answer = ask('a reset that is refused', q(SELECT pool_exec('fake', 'listen x')));
is($answer->{state}, '57014', 'a reset that is refused is an error');
like($answer->{err}, qr/may have been executed/,
	'the error says that a command behind a Sync may have been executed');
$answer = ask('an error with bytes that are no text', $select);
like($answer->{err}, qr/22012: no \? text/, 'bytes of an error that are no text are replaced');
$answer = ask('an error with half an SQLSTATE', $select);
is($answer->{state}, '08006', 'an error with half an SQLSTATE has one of ours');
$answer = ask('a column whose name is no text', $select);
is($answer->{state}, '22021', 'a column whose name is no text is refused');
$answer = ask('a value that is no text', $select);
is($answer->{state}, '22021', 'a value that is no text is refused');
$answer = ask('two thousand columns', q(SELECT pool_query_json('fake', 'select 1')));
is($answer->{state}, '54011', 'two thousand columns are refused');

$session->quit;
settled($local);
no_crash($local);
stop_fake_remote($fake);
done_testing();

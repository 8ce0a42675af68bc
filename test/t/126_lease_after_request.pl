# 126_lease_after_request.pl
#	What a request that comes to a bad end leaves of the lease on which it ran.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::FaultPoints;
use PoolTest::Requests;
use Test::More;

my $remote = start_remote();
my $local = start_local();

create_server($local, 'srv', $remote, options => { max_size => 4, acquire_timeout => '1s' });
create_caught($local);
my $session = session($local);
my %lease = map { $_ => $session->query(q(SELECT pool_acquire('srv', hold => true)))->{out} }
  qw(failed abandoned rolled_back query);

#
# A lease whose connection was found dead, and for which there is no other one: no
# statement is running on it, whoever has tried
#
# Each of these is the first statement on its lease, so it may go on another connection.
$remote->stop('immediate');
$session->query('BEGIN');
my $request = send_request($session, $lease{failed}, 'select 1');
like(caught($session, "SELECT t FROM pool_result($request) r(t int)"),
	qr/^08001 /, 'a request on a lease finds no connection');
$request = send_request($session, $lease{abandoned}, 'select 2');
answers($session, "SELECT pool_poll($request)", 'waiting', 'another one waits for one');
answers($session, "SELECT pool_abandon($request)", '', 'and is abandoned');
answers($session, 'COMMIT; BEGIN', '', 'the transaction is committed');
$request = send_request($session, $lease{rolled_back}, 'select 3');
answers($session, "SELECT pool_poll($request)", 'waiting', 'a third one waits');
answers($session, 'ROLLBACK', '', 'and is rolled back');
like(caught($session, "SELECT t FROM pool_query($lease{query}, 'select 4') r(t int)"),
	qr/^08001 /, 'a query finds none either');

foreach my $name (sort keys %lease)
{
	like(caught($session, "SELECT t FROM pool_query($lease{$name}, 'select 5') r(t int)"),
		qr/^08003 .*has lost its connection/, "$name: the lease says so");
	answers($session, "SELECT pool_release($lease{$name})", '', "$name: it can be released");
}

#
# A statement that has failed, and with it the proof's SELECT before it, and then this
# session fails, too: the next statement proves the handover again
#
$remote->start;
create_server($local, 'one', $remote, options => { max_size => 1, statement_cache => 0 });
my $other = session($local);
my $name = q('select current_setting(''application_name'')');
like($other->query("SELECT t FROM pool_query('one', $name) r(t text)")->{out},
	qr/ ${\$other->pid}$/, 'another session has used the connection');
my $held = $session->query(q(SELECT pool_acquire('one', hold => true)))->{out};
$session->query('BEGIN');
arm($session, 'request_settled error');
my $answer = $session->query("SELECT pool_send($held, 'select 1/0')");
$answer = $session->query("SELECT t FROM pool_result($answer->{out}) r(t int)")
  if $answer->{state} eq '00000';
like($answer->{err}, qr/request_settled/, 'this session fails when a request has failed');
$session->query('ROLLBACK');
disarm($session);
answers($session, "SELECT t FROM pool_query($held, $name) r(t text)",
	qr/ ${\$session->pid}$/, 'the lease goes on with a proof');
answers($session, "SELECT pool_release($held)", '', 'and can be released');
$other->quit;

$session->quit;
settled($local);
no_crash($local);

done_testing();

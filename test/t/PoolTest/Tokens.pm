# Tokens.pm
#	Statements each of which has a token of its own, and what is wrong with what
#	comes back: rows, errors and notices must carry that token.  See Invariants.pm.

package PoolTest::Tokens;

use strict;
use warnings;

use Exporter qw(import);

use PoolTest::Sql;

our @EXPORT_OK = qw(make_token_function);

my $number = 0;

# make_token_function(remote): what answers, and leaves a setting, a lock and a
# LISTEN behind in its session each time
sub make_token_function
{
	my ($remote) = @_;

	sql($remote, <<'SQL', db => 'far', user => 'app');
CREATE FUNCTION tokens(token text, n int) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('test.left', token, false), pg_advisory_lock(hashtext(token));
	EXECUTE 'LISTEN left_behind';
	RAISE NOTICE '<%>', token;
	RETURN QUERY SELECT '<' || token || '> ' || g FROM generate_series(1, n) g;
END $$
SQL
	return;
}

# What a new object has.
sub no_tokens { return (wrong => [], seen => [], asked => {}); }

# tokens(target, rows, requests): a token of its own and a statement that asks for it,
# by way of a request if it is to; target: a server, or the number of a lease
sub tokens
{
	my ($self, $target, $rows, $requests) = @_;
	my $token = 'token-' . ++$number;
	my $call = $requests ? 'pool_result(pool_send(%s))' : 'pool_query(%s)';

	$target = "'$target'" if $target !~ /^\d+$/;
	$rows = 3 if !defined $rows;
	$call = sprintf $call, "$target, 'select tokens(''$token'', $rows)'";
	return ($token, "SELECT t FROM $call AS r(t text)");
}

# check(token, rows, result): the result of a session that was asked for that,
# whatever else it has been asked; returns the result
sub check
{
	my ($self, $token, $rows, $result) = @_;
	my ($out, $err) = ($result->{out}, $result->{err});
	my @foreign = grep { $_ ne $token } "$out\n$err" =~ /<(token-\d+)>/g;
	my $told = () = $err =~ /NOTICE:.*<\Q$token\E>/g;
	my @rows = $out =~ /^<\Q$token\E> (\d+)$/gm;
	my $wanted = $result->{state} eq '00000' ? join(' ', 1 .. $rows) : '';

	push @{ $self->{wrong} }, "$token got what belongs to @foreign" if @foreign;
	push @{ $self->{wrong} }, "$token got the rows @rows, not $wanted ($result->{state})"
	  if "@rows" ne $wanted;
	push @{ $self->{wrong} }, "$token got its notice $told times ($result->{state})"
	  if $told > 1 || ($told == 0 && $result->{state} eq '00000');
	return $self->saw($result);
}

# saw(result): look for the password in it, too
sub saw
{
	my ($self, $result) = @_;

	push @{ $self->{seen} }, $result->{out}, $result->{err};
	return $result;
}

# begin(session, target, rows): ask, and do not wait; result() has the answer
sub begin
{
	my ($self, $session, $target, $rows) = @_;
	my ($token, $statement) = $self->tokens($target, $rows);

	$self->{asked}{$session} = [ $token, defined $rows ? $rows : 3 ];
	$session->begin($statement);
	return;
}

sub result
{
	my ($self, $session, $seconds) = @_;

	return $self->check(@{ delete $self->{asked}{$session} },
		$session->result($seconds || 60));
}

# ask(session, target, rows)
sub ask
{
	my ($self, $session, $target, $rows) = @_;

	$self->begin($session, $target, $rows);
	return $self->result($session);
}

# ask_by_request(session, target): the same by way of a request
sub ask_by_request
{
	my ($self, $session, $target) = @_;
	my ($token, $statement) = $self->tokens($target, 3, 1);

	return $self->check($token, 3, $session->query($statement));
}

# note_wrong(text): of an answer that has no token
sub note_wrong
{
	my ($self, $text) = @_;

	push @{ $self->{wrong} }, $text;
	return;
}

# wrong_answers(): what was wrong since the last call
sub wrong_answers
{
	my ($self) = @_;

	return join "\n", splice @{ $self->{wrong} };
}

# all_seen(): the text of all answers since the last call
sub all_seen
{
	my ($self) = @_;

	return join "\n", splice @{ $self->{seen} };
}

1;

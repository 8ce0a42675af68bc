# 124_tenure_role.pl
#	A session that changes its role in its turn: the next role gets a connection that
#	was reset, and has to wait for it like any other session; the turn is the first
#	role's.
#
# Runs in the plain round only.
# Needs fairness_round.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use Test::More;

# A turn is 10 ms here, and sessions come back at once.  To prepare a statement would
# reset the connection.
my $remote = start_remote();
my $local = start_local();
create_server($local, 'srv', $remote, for => 'PUBLIC',
	options => { max_size => 1, acquire_timeout => '60s', fairness_round => '1min', statement_cache => 0 });
$remote->safe_psql('far', <<'SQL', connstr => $remote->connstr('far') . ' user=app');
CREATE SEQUENCE served;
CREATE FUNCTION serve(who text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	before text := coalesce(nullif(current_setting('was.here', true), ''), 'nobody');
BEGIN
	PERFORM set_config('was.here', who, false);
	RETURN format('%s %s after %s', nextval('served'), who, before);
END $$;
SQL
sql($local, <<'SQL');
CREATE ROLE alice;
CREATE ROLE bob;
CREATE ROLE carol;
GRANT USAGE ON FOREIGN SERVER srv TO alice, bob, carol;
CREATE FUNCTION ask(who text) RETURNS text LANGUAGE sql AS $$
	SELECT t FROM pool_query('srv', 'select serve($1)', who) AS r(t text)
$$;

-- Asks in one role after the other.
CREATE FUNCTION asks(VARIADIC roles text[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	r text;
	seen text[];
BEGIN
	FOREACH r IN ARRAY roles LOOP
		PERFORM set_config('role', r, false);
		seen := seen || ask(r);
	END LOOP;
	PERFORM set_config('role', 'none', false);
	RETURN array_to_string(seen, ', ');
END $$;
SQL
my ($holder, $tenant, $first, $second) = map { session($local) } 1 .. 4;

# Superusers have a pool of their own.
$_->query('SET ROLE carol') foreach $holder, $first, $second;

# turns(roles): what the tenant saw that asked in these roles, while two others waited
# all the time; the numbers count from its first
sub turns
{
	my (@roles) = @_;
	my $list = join ', ', map { "'$_'" } @roles;

	# It is known for coming back at once.
	$tenant->query('SELECT asks(' . join(', ', (q('alice')) x 20) . ')');
	my $lease = $holder->acquire('srv');
	my $n = 0;
	foreach ([ $tenant, "asks($list)" ], [ $first, q(ask('first')) ], [ $second, q(ask('second')) ])
	{
		$_->[0]->begin("SELECT $_->[1]");
		wait_for_waiters($local, ++$n, "$n wait", 'srv');
	}
	$holder->release($lease);
	my @seen = split /, /, $tenant->result->{out};
	is($_->result->{state}, '00000', 'who waits is served') foreach $first, $second;
	my ($from) = ($seen[0] // '') =~ /^(\d+)/;
	return join ', ', map { s/^(\d+)/$1 - $from/er } @seen;
}

my $turn = 0;
foreach (1 .. 20)
{
	my $seen = turns('alice', 'alice');

	like($seen, qr/^0 alice after \w+, (1 alice after \w+|3 alice after nobody)$/,
		'a session goes on in its turn, or is the last');
	last if $turn = $seen =~ /, 1 alice after alice/;
}
ok($turn, 'in one role a session goes on, on the connection as it was');
foreach my $round (1 .. 5)
{
	is(turns('alice', 'bob') =~ s/^0 alice after \w+, //r, '3 bob after nobody',
		"round $round: another role waits for its turn, and gets a reset connection");
}

# With nobody else about, the same role of the same session as before
is($tenant->query(q(SELECT asks('alice', 'bob', 'alice')))->{out} =~ s/\d+ //gr =~ s/after \w+//r,
	'alice , bob after nobody, alice after nobody', 'so it does when nobody waits');

$_->quit foreach $holder, $tenant, $first, $second;
at_rest($local, $remote, 'at the end');
no_crash($local, $remote);
done_testing();

# 064_local_roles.pl
#	What one local role leaves in a remote session, another one does not find,
#	also in the same local session: by SET ROLE, SET SESSION AUTHORIZATION and a
#	SECURITY DEFINER function, over a mapping FOR PUBLIC, with and without
#	leases.  There is one connection, so that they meet in it.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use Test::More;

my $remote = start_remote();
my $local = start_local();
create_server($local, 'srv', $remote, for => 'PUBLIC', options => { max_size => 1 });

# Commands with the tag of SELECT, after which the worker leaves a connection as
# it is for a second.
$remote->safe_psql('far', <<'SQL', connstr => $remote->connstr('far') . ' user=app');
CREATE SCHEMA good; CREATE TABLE good.accounts AS SELECT 'real' AS state;
CREATE SCHEMA evil; CREATE TABLE evil.accounts AS SELECT 'evil' AS state;
ALTER ROLE app SET search_path = good;
CREATE FUNCTION good.shadow() RETURNS text LANGUAGE sql AS
$$ CREATE TEMPORARY TABLE accounts AS SELECT 'shadow' AS state; SELECT 'shadow' $$;
SQL

# A function of each role that is run with that role's rights
$local->safe_psql('postgres', "CREATE ROLE $_; GRANT USAGE ON FOREIGN SERVER srv TO $_;"
	  . " GRANT CREATE ON SCHEMA public TO $_; SET ROLE $_;"
	  . " CREATE FUNCTION as_$_(query text) RETURNS SETOF text LANGUAGE sql SECURITY DEFINER AS"
	  . q( $$ SELECT t FROM pool_query('srv', query) AS r(t text) $$;)) foreach 'alice', 'bob';

# How a session becomes a role for one statement
my %statement = (
	'SET ROLE' => sub { return "SET ROLE $_[0]; " . run_by($_[1]) . '; RESET ROLE;' },
	'SET SESSION AUTHORIZATION' => sub {
		return "SET SESSION AUTHORIZATION $_[0]; " . run_by($_[1])
		  . '; RESET SESSION AUTHORIZATION;';
	},
	'SECURITY DEFINER' => sub { return "SELECT as_$_[0](\$q\$$_[1]\$q\$);" });

sub run_by { return "SELECT t FROM pool_query('srv', \$q\$$_[0]\$q\$) AS r(t text)"; }

# What the first role leaves behind, and what the second one sees of it
my %trap = (
	'a temporary table that shadows a table' =>
	  [ 'select good.shadow()', 'select state from accounts', 'real' ],
	'a search_path' => [
		q(select set_config('search_path', 'evil', false)), 'select state from accounts', 'real' ],
	'a setting with a secret' => [
		q(select set_config('app.secret', 'open sesame', false)),
		q(select coalesce(nullif(current_setting('app.secret', true), ''), 'nothing')),
		'nothing' ]);

my $session = session($local);

foreach my $how (sort keys %statement)
{
	foreach my $what (sort keys %trap)
	{
		my ($leave, $look, $untouched) = @{ $trap{$what} };

		foreach my $roles ([ 'alice', 'bob' ], [ 'bob', 'alice' ])
		{
			my ($first, $second) = @$roles;
			my $answer = $session->query(
				$statement{$how}->($first, $leave) . $statement{$how}->($second, $look));

			is((split /\n/, $answer->{out})[-1], $untouched,
				"$how: $second does not find $what that $first left")
			  or diag($answer->{err});
		}
	}
}

# On leases: what the first role left by a single statement, or by a lease
foreach my $what (sort keys %trap)
{
	my ($leave, $look, $untouched) = @{ $trap{$what} };
	my $lease = sub {
		return "SET ROLE $_[0]; SELECT pool_acquire('srv', hold => true) AS lease \\gset\n"
		  . "SELECT t FROM pool_query(:lease, \$q\$$_[1]\$q\$) AS r(t text);"
		  . ' SELECT pool_release(:lease); RESET ROLE;';
	};
	my $answer =
	  $session->query($statement{'SET ROLE'}->('alice', $leave) . $lease->('bob', $look));
	is((split /\n/, $answer->{out})[-1],
		$untouched, "a lease of bob does not find $what that a statement of alice left")
	  or diag($answer->{err});

	$answer = $session->query($lease->('alice', $leave) . $statement{'SET ROLE'}->('bob', $look));
	is((split /\n/, $answer->{out})[-1],
		$untouched, "a statement of bob does not find $what that a lease of alice left")
	  or diag($answer->{err});
}

# A reset that is made to fail: by a time-out, and so many tables to drop that it
# takes longer.  Nobody's code is run by a session that was not reset.  What alice
# leaves is nothing that the remote reports, or the worker would reset it at once;
# search_path is reported since version 18.
$remote->safe_psql('far', <<'SQL', connstr => $remote->connstr('far') . ' user=app');
CREATE TABLE good.witness (path text);
CREATE FUNCTION good.clutter() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. 500 LOOP
		EXECUTE format('CREATE TEMPORARY TABLE clutter_%s (a int)', i);
	END LOOP;
	PERFORM set_config('app.left', 'evil', false);
	RETURN set_config('statement_timeout', '1', false);
END $$;
SQL
my $note = q(insert into good.witness values (current_setting('app.left', true)));
foreach my $statement ($note, "explain analyze $note", "$note; select 1")
{
	my $answer;

	# Where this takes a second the worker may have reset it in vain, and bob gets
	# another connection.
	foreach (1 .. 10)
	{
		$answer = $session->query($statement{'SET ROLE'}->('alice', 'select good.clutter()')
			  . "SET ROLE bob; SELECT pool_exec('srv', \$q\$$statement\$q\$); RESET ROLE;");
		last if $answer->{state} ne '00000';
	}
	is($answer->{state}, '57014', "bob gets an error when the reset after alice fails: $statement");
	like($answer->{err}, qr/DETAIL: .*statement timeout/, "the error tells why: $statement");
	like($answer->{err}, qr/HINT: .*not executed/,
		"the error tells that it was not executed: $statement");
}
is(sql($remote, q(SELECT count(*) FROM good.witness WHERE path = 'evil'), db => 'far'),
	0, 'no statement of bob is executed with what alice left');

# Within a statement of the other role, which the function interrupts
is( $session->query(
		"SET ROLE alice; SELECT a, as_bob('$trap{'a search_path'}[1]') FROM (SELECT t AS a FROM "
		  . q(pool_query('srv', $q$select set_config('search_path', 'evil', false)$q$) AS r(t text))
		  . ') s; RESET ROLE')->{out},
	'evil|real',
	'a SECURITY DEFINER function of bob does not find the search_path that its caller left');

# What the remote's administrator sees
is( $session->query(
		join '',
		map { $statement{'SET ROLE'}->($_, q(select split_part(application_name, ' ', 4)
			from pg_stat_activity where pid = pg_backend_pid())) } 'alice', 'bob')->{out},
	"alice\nbob",
	'the remote sees as whom each statement is run');

#
# The right to use a server, which one role has by another, until it has no more
#
sql($local, 'CREATE ROLE users; GRANT USAGE ON FOREIGN SERVER srv TO users;'
	  . ' CREATE ROLE carol LOGIN; GRANT users TO carol');
my $carol = session($local, user => 'carol');
is($carol->query(select_42('srv'))->{out}, 42, 'a member of a role uses what that may use');
sql($local, 'REVOKE users FROM carol');
is($carol->query(select_42('srv'))->{state}, '42501', 'who is no member any more is refused');
$carol->quit;

#
# The same role goes on without a reset.  The worker may come in between on a busy
# machine, so a few attempts are made.
#
my @reused = (stat_of($local, 'reused'));
my $found;
ok( wait_until(
		20,
		sub {
			$found = $session->query($statement{'SET ROLE'}
				  ->('alice', q(select set_config('app.mine', 'mine', false)))
				  . $statement{'SET ROLE'}->('alice', q(select current_setting('app.mine', true))))
			  ->{out};
			return $found eq "mine\nmine";
		}),
	'the same role in the same session finds what it left')
  or diag($found);
push @reused, stat_of($local, 'reused');
cmp_ok($reused[1], '>', $reused[0],
	'a lease by the same role in the same session is counted as reused');
$session->query(join '', map { $statement{'SET ROLE'}->($_, 'select 1') } ('bob', 'alice') x 10);
is(stat_of($local, 'reused'), $reused[1], 'a lease by another role is not counted as reused');

$session->quit;
settled($local);
remote_count($local, $remote);
no_crash($local, $remote);

done_testing();

# 103_security_tenants.pl
#	Two tenants never share a connection, also where all about them is the same: one
#	remote role with one password, in two mappings; a superuser and a role that needs
#	a password, in one mapping; one local session that is one role after the other.
#	And where they do share one, in a mapping FOR PUBLIC, no setting of the one lets
#	the other see its rows: the remote decides by row level security on a setting,
#	as an application of many tenants would.
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
my @roles = ('alice', 'bob', 'carol', 'dave');

$remote->safe_psql('far', <<'SQL');
CREATE TABLE orders (tenant text, what text);
INSERT INTO orders SELECT t, t || '''s' FROM unnest('{alice,bob,carol,dave}'::text[]) t;
ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON orders USING (tenant = current_setting('app.tenant', true));
GRANT SELECT ON orders TO app;
CREATE ROLE clerk;
CREATE POLICY all_of_them ON orders TO clerk USING (true);
GRANT SELECT ON orders TO clerk;
ALTER ROLE app NOINHERIT;
GRANT clerk TO app;
CREATE FUNCTION become(tenant text) RETURNS text LANGUAGE sql AS
$$ SELECT set_config('app.tenant', tenant, false) $$;
SQL
sql($local, join '', map { "CREATE ROLE $_ LOGIN;" } @roles);

# "own" has a mapping for each role, "common" one for all; nothing else differs.
create_server($local, 'own', $remote, options => { max_size => 1 });
create_server($local, 'common', $remote, for => 'PUBLIC', options => { max_size => 1 });
sql($local, "GRANT USAGE ON FOREIGN SERVER own, common TO $_;"
	  . "CREATE USER MAPPING FOR $_ SERVER own OPTIONS (user 'app',"
	  . " password '$PoolTest::password')") foreach @roles;
sql($local, "GRANT CREATE ON SCHEMA public TO $_; SET ROLE $_; CREATE FUNCTION as_$_"
	  . '(server text, query text) RETURNS text LANGUAGE sql SECURITY DEFINER AS'
	  . q( $$ SELECT string_agg(t, ',') FROM pool_query(server, query) AS r(t text) $$))
  foreach @roles;

my %session = map { $_ => session($local, user => $_) } @roles;
my $root = session($local);

# ask(how, role, server, query): the answer to that role
sub ask
{
	my ($how, $role, $server, $query) = @_;
	my $call = "SELECT string_agg(t, ',')"
	  . " FROM pool_query('$server', \$q\$$query\$q\$) AS r(t text)";
	my $session = $how eq 'its own session' ? $session{$role} : $root;
	my $answer = $session->query(
		  $how eq 'its own session' ? $call
		: $how eq 'SET ROLE' ? "SET ROLE $role; $call; RESET ROLE"
		: "SELECT as_$role('$server', \$q\$$query\$q\$)");

	return $answer->{err} || $answer->{out};
}

#
# Connections of their own
#
my @ways = ('its own session', 'SET ROLE', 'SECURITY DEFINER');
my %owner;
foreach my $turn (1 .. 4)
{
	foreach my $how (@ways)
	{
		push @{ $owner{ ask($how, $_, 'own', 'select pg_backend_pid()') }{$_} }, $how
		  foreach @roles;
	}
	my $pid = $root->query(q(SELECT pool_query('own', 'select pg_backend_pid()')))->{out};
	$pid =~ s/\D//g;
	push @{ $owner{$pid}{superuser} }, 'its own session';
}
is(join('; ', map { join ' ', sort keys %{ $owner{$_} } }
	  sort { join('', sort keys %{ $owner{$a} }) cmp join('', sort keys %{ $owner{$b} }) }
	  keys %owner), 'alice; bob; carol; dave; superuser',
	'each mapping has one connection, which serves nobody else');

# Where a mapping is common, those who need a password have not that of a superuser.
my ($theirs, $mine) = map {
	my $pid = $_->query(q(SELECT pool_query('common', 'select pg_backend_pid()')))->{out};
	$pid =~ s/\D//gr
} $session{alice}, $root;
like("$theirs $mine", qr/^(\d+) (?!\1)\d+$/,
	'a superuser and a role that needs a password have different connections of one mapping');

#
# Rows by row level security
#
my %leave = (
	'SET' => q(set app.tenant = '%s'),
	'set_config()' => q(select set_config('app.tenant', '%s', false)),
	'a function' => q(select become('%s')),
	'several statements' => q(select 1; set app.tenant = '%s'; select 2),
	'another role' => q(set role clerk));
my $look = q(select what from orders);
foreach my $server ('own', 'common')
{
	foreach my $what (sort keys %leave)
	{
		my @wrong;

		foreach my $how (@ways)
		{
			foreach my $pair ([ 'alice', 'bob' ], [ 'bob', 'carol' ], [ 'dave', 'alice' ])
			{
				my ($first, $second) = @$pair;

				ask($how, $first, $server, sprintf $leave{$what}, $first);
				my $seen = ask($how, $second, $server, $look);

				# What it left itself it may find.
				push @wrong, "$how: $second after $first sees $seen"
				  if $seen !~ /^(${second}'s)?$/;
			}
		}
		is("@wrong", '', "$server: nobody sees rows by what another has left with $what");
	}
}

# In a lease, in a transaction that is open when it ends, and by a lease that was lost
foreach my $end ('release', 'end of the session', 'loss')
{
	my $first = session($local, user => 'alice');
	my $lease = $first->acquire('common');

	$first->query("SELECT pool_exec($lease, 'begin; set app.tenant = ''alice''')");
	is($first->query("SELECT t FROM pool_query($lease, '$look') AS r(t text)")->{out},
		q(alice's), "alice sees her rows in a lease before the $end");
	terminate_app_sessions($remote) if $end eq 'loss';
	$first->release($lease) if $end ne 'end of the session';
	$first->quit;
	is(ask('its own session', 'bob', 'common', $look), '',
		"bob sees none of them after the $end");
}

$_->quit foreach $root, values %session;
settled($local);
remote_count($local, $remote);
no_crash($local, $remote);

done_testing();

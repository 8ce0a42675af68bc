# 100_manual.pl
#	What the manual and the README files point at is there: tests, files of the
#	source, pages and headings.  The pages on security and on tests name the test of
#	each promise and case; one that is renamed must not leave them behind.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use File::Basename qw(dirname);
use PostgreSQL::Test::Utils;
use Test::More;

my $top = "$FindBin::RealBin/../..";
my @pages = map { s{^\Q$top\E/}{}r } glob "$top/README.md $top/doc/*.md $top/test/bench/README.md";

# missing(page, kind, found): a test: the files of a page are there, and there are some
sub missing
{
	my ($page, $kind, %found) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	cmp_ok(scalar keys %found, '>', 0, "$page names $kind");
	return is(join(' ', sort grep { !-e "$top/$found{$_}" } keys %found),
		'', "all $kind that $page names are there");
}

# Tests, by number and name, or by their file
foreach my $page ('doc/security.md', 'test/README')
{
	my $text = slurp_file("$top/$page");
	my %tests = map { ($_ => "test/t/$_.pl") } $text =~ /\b(\d{3}_[a-z_0-9]+)/g;
	my %sql = map { ($_ => $_) } $text =~ m{\b(sql/[a-z_]+\.sql)}g;

	missing($page, 'TAP tests', %tests);
	missing($page, 'regress tests', %sql);
	is(join(' ', grep { !-e "$top/" . s/sql/expected/r =~ s/sql$/out/r } sort keys %sql), '',
		"$page names regress tests that are run");
	foreach my $spec ($text =~ /\b([a-z-]+)\.spec\b/g)
	{
		ok(-e "$top/test/isolation/specs/$spec.spec", "$page names the spec $spec, which is there");
	}
}
my $rooms = join '|', map { s{.*/}{}r } grep { -d } glob "$top/src/*";
missing('doc/security.md', 'files of the source',
	map { ($_ => "src/$_") } slurp_file("$top/doc/security.md") =~ m{`((?:$rooms)/\w+\.[ch])`}g);

# Links: to pages that are there, and to headings that they have
foreach my $page (@pages)
{
	my $text = slurp_file("$top/$page");
	my @dead;

	foreach my $link ($text =~ /\]\(([^)\s]+)\)/g)
	{
		next if $link =~ /^https?:/;
		my ($file, $heading) = $link =~ /^([^#]*)(?:#(.*))?$/;
		my $path = $file eq '' ? "$top/$page" : dirname("$top/$page") . "/$file";

		push @dead, $link
		  if !-e $path || defined $heading && !grep { $_ eq $heading } headings($path);
	}
	is("@dead", '', "all links of $page lead somewhere");
}

# headings(file): as links name them
sub headings
{
	my ($file) = @_;
	my @found;

	foreach my $line (split /\n/, slurp_file($file))
	{
		my ($heading) = $line =~ /^#+ +(.*)$/ or next;

		$heading =~ s/[^\w\- ]//g;
		$heading =~ s/ /-/g;
		push @found, lc $heading;
	}
	return @found;
}

done_testing();

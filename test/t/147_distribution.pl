# 147_distribution.pl
#	What others build packages from: META.json says what PGXN asks for, and the version
#	is the same wherever it is written; "make check-version" notices each place where
#	it is not.
#
# Runs in the plain round only.

use strict;
use warnings;

use File::Basename qw(dirname);
use FindBin;
use lib $FindBin::RealBin;
use JSON::PP;
use PoolTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $top = "$FindBin::RealBin/../..";
my $meta = decode_json(slurp_file("$top/META.json"));
foreach my $key (qw(name version abstract maintainer license provides meta-spec))
{
	ok($meta->{$key}, "META.json has $key");
}
like($_, qr/^\d+\.\d+\.\d+$/, 'the version has three numbers')
  foreach $meta->{version}, map({ $_->{version} } values %{ $meta->{provides} }),
  $meta->{'meta-spec'}{version}, $meta->{prereqs}{runtime}{requires}{PostgreSQL};
is(join(' ', sort keys %{ $meta->{provides} }), 'pool pool_dblink', 'it names each extension');
is($meta->{license}, 'postgresql', 'the licence is one that PGXN knows');
foreach my $extension (values %{ $meta->{provides} })
{
	ok(-e "$top/$extension->{$_}", "the $_ that it names is there") foreach 'file', 'docfile';
}

# check_version(file, from, to): what make says with that file changed
sub check_version
{
	my ($file, $from, $to) = @_;
	my $dir = PostgreSQL::Test::Utils::tempdir;

	system_or_bail('cp', '-R', map({ "$top/$_" }
			'Makefile', 'META.json', 'CHANGELOG.md', 'pool.control', 'pool_dblink.control',
			'debian', 'sql'), $dir);
	if ($file)
	{
		my $text = slurp_file("$dir/$file") =~ s/$from/$to/r;

		open(my $out, '>', "$dir/$file") || die "$file: $!";
		print $out $text;
		close($out);
	}
	my ($said) = run_command([ 'make', '-s', '-C', $dir, 'check-version' ]);
	return $said;
}

my ($version) = slurp_file("$top/pool.control") =~ /^default_version = '(.*)'$/m;
like(check_version(), qr/^every file has version \Q$version\E$/m, 'all places agree');
foreach my $file ('pool.control', 'META.json', 'CHANGELOG.md', 'debian/changelog',
	'pool_dblink.control')
{
	like(check_version($file, qr/(?<=['"( ])\Q$version\E/, '7.7'),
		$file eq 'pool.control' ? qr/has version 7\.7, but/ : qr/ \Q$file\E has '[^']*7\.7/,
		"another version in $file is noticed");
}

done_testing();

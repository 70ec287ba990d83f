package localpg

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// oldestMajor is the oldest version of PostgreSQL that we run.
const oldestMajor = 14

// installation is a folder with PostgreSQL's programs.
type installation struct {
	bin     string
	version string // such as "17.5"
	major   int
}

func (i installation) program(name string) string {
	return filepath.Join(i.bin, executable(name))
}

func (i installation) String() string { return fmt.Sprintf("PostgreSQL %s in %s", i.version, i.bin) }

// places are where installations are looked for, in this order.
type places struct {
	path     string   // a list of folders, as in PATH
	patterns []string // of bin folders; of those that match one pattern, the newest version is first
	cache    string   // the folder for fetched ones; empty: beside the cluster
}

func machinePlaces() places {
	p := places{
		path: os.Getenv("PATH"),
		patterns: []string{
			"/usr/lib/postgresql/*/bin",                                    // Debian
			"/usr/pgsql-*/bin",                                             // Red Hat
			"/usr/libexec/postgresql*",                                     // Alpine
			"/opt/homebrew/opt/postgresql*/bin",                            // Homebrew on Apple's processors
			"/usr/local/opt/postgresql*/bin",                               // Homebrew on Intel's
			"/Applications/Postgres.app/Contents/Versions/[0-9]*[0-9]/bin", // Postgres.app
		},
	}
	if cache, err := os.UserCacheDir(); err == nil {
		p.cache = filepath.Join(cache, "foof")
	}
	return p
}

// chooseInstallation returns an installation for a cluster of that major version,
// or for a new cluster if it is 0: the one in bin if that is given, else the first
// on the machine that fits, else one that is fetched.
func chooseInstallation(ctx context.Context, from places, bin string, major int, dir string, progress func(string)) (installation, error) {
	if bin != "" {
		i, err := inspect(ctx, bin)
		if err != nil {
			return installation{}, err
		}
		if !i.fits(major) {
			return installation{}, i.refusal(major)
		}
		return i, nil
	}
	var found []installation
	for _, bin := range from.bins() {
		i, err := inspect(ctx, bin)
		if err != nil {
			continue
		}
		if i.fits(major) {
			return i, nil
		}
		found = append(found, i)
	}
	version, ok := fetchable[major]
	if !ok {
		return installation{}, unfit(major, found)
	}
	i, err := fetch(ctx, from.cache, dir, version, progress)
	if err != nil {
		return installation{}, fmt.Errorf("%w (install PostgreSQL %d or newer, or connect to where it can be fetched)",
			err, max(major, oldestMajor))
	}
	return i, nil
}

func (i installation) fits(major int) bool {
	if major == 0 {
		return i.major >= oldestMajor
	}
	return i.major == major
}

func (i installation) refusal(major int) error {
	if major == 0 {
		return fmt.Errorf("%s is too old: PostgreSQL %d or newer is needed", i, oldestMajor)
	}
	return fmt.Errorf("the cluster was made by PostgreSQL %d and cannot be run by %s: give the binaries of PostgreSQL %d, "+
		"or choose another folder", major, i, major)
}

func unfit(major int, found []installation) error {
	has := "no PostgreSQL"
	if len(found) > 0 {
		var names []string
		for _, i := range found {
			names = append(names, i.String())
		}
		has = strings.Join(names, " and ")
	}
	majors := slices.Sorted(maps.Keys(fetchable))
	return fmt.Errorf("the cluster was made by PostgreSQL %d; this machine has %s, and only %d to %d can be fetched: "+
		"install PostgreSQL %d, or choose another folder", major, has, oldestMajor, majors[len(majors)-1], major)
}

// bins lists the folders that have a PostgreSQL server, best first, each once.
func (p places) bins() []string {
	candidates := filepath.SplitList(p.path)
	for _, pattern := range p.patterns {
		matches, err := filepath.Glob(pattern)
		if err != nil {
			continue
		}
		slices.SortFunc(matches, func(a, b string) int { return numberIn(b) - numberIn(a) })
		candidates = append(candidates, matches...)
	}
	var bins []string
	for _, folder := range candidates {
		bin, err := serverFolder(folder)
		if err == nil && filepath.IsAbs(folder) && !slices.Contains(bins, bin) {
			bins = append(bins, bin)
		}
	}
	return bins
}

var digits = regexp.MustCompile(`\d+`)

// numberIn returns the last number in a path, which is the version in the paths
// that we look at.
func numberIn(path string) int {
	all := digits.FindAllString(path, -1)
	if len(all) == 0 {
		return 0
	}
	n, err := strconv.Atoi(all[len(all)-1])
	if err != nil {
		return 0
	}
	return n
}

var versionLine = regexp.MustCompile(`\(PostgreSQL\) ((\d+)[^\s]*)`)

// serverFolder returns the folder in which the server of the bin folder really
// is. A link to it, as in /usr/local/bin, is followed: the other programs, and
// what they find by their own path, are there.
func serverFolder(bin string) (string, error) {
	server, err := filepath.Abs(filepath.Join(bin, executable("postgres")))
	if err != nil {
		return "", err
	}
	if server, err = filepath.EvalSymlinks(server); err != nil {
		return "", fmt.Errorf("there is no PostgreSQL in %s: %w", bin, err)
	}
	return filepath.Dir(server), nil
}

// inspect asks the installation in bin for its version.
func inspect(ctx context.Context, bin string) (installation, error) {
	bin, err := serverFolder(bin)
	if err != nil {
		return installation{}, err
	}
	i := installation{bin: bin}
	if _, err := os.Stat(i.program("initdb")); err != nil {
		return installation{}, fmt.Errorf("the PostgreSQL in %s has no initdb: %w", bin, err)
	}
	out, err := exec.CommandContext(ctx, i.program("postgres"), "--version").Output()
	if err != nil {
		return installation{}, fmt.Errorf("ask the PostgreSQL in %s for its version: %w", bin, err)
	}
	parts := versionLine.FindStringSubmatch(string(out))
	if parts == nil {
		return installation{}, fmt.Errorf("the PostgreSQL in %s gives no version that can be understood: %q", bin, out)
	}
	i.version = parts[1]
	if i.major, err = strconv.Atoi(parts[2]); err != nil {
		return installation{}, fmt.Errorf("the PostgreSQL in %s gives no version that can be understood: %w", bin, err)
	}
	return i, nil
}

func executable(name string) string {
	if runtime.GOOS == "windows" {
		return name + ".exe"
	}
	return name
}

package clouds

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"ndock/docker/transfer"
)

// value is a node of clouds.yaml. A scalar is kept as it was written: a password may be 0123, and an id 12e5.
type value struct {
	text   string
	list   []value
	fields map[string]value
	given  bool // in the command line
}

// UnmarshalYAML reads a node.
func (v *value) UnmarshalYAML(node *yaml.Node) error {
	switch node.Kind {
	case yaml.SequenceNode:
		return node.Decode(&v.list)
	case yaml.MappingNode:
		return node.Decode(&v.fields)
	}
	if node.ShortTag() != "!!null" {
		v.text = node.Value
	}
	return nil
}

// field looks a setting up by its name with underscores; it may be written with dashes.
func (v value) field(name string) value {
	if found, ok := v.fields[name]; ok {
		return found
	}
	return v.fields[strings.ReplaceAll(name, "_", "-")]
}

func (v value) empty() bool { return v.text == "" && v.list == nil && v.fields == nil }

// under returns v with the fields of over written over its own, at every depth.
func (v value) under(over value) value {
	if over.fields == nil || v.fields == nil {
		if over.empty() {
			return v
		}
		return over
	}
	merged := value{fields: maps.Clone(v.fields)}
	for name, field := range over.fields {
		merged.fields[name] = merged.fields[name].under(field)
	}
	return merged
}

// configFiles are the three files that openstacksdk reads: clouds, the secrets that are kept apart, vendors' profiles.
type configFiles struct {
	clouds  value           // by name
	public  value           // by name
	path    string          // of clouds.yaml; empty when there is none
	skipped []*fs.PathError // why files that are there were not read
}

// readConfigFiles reads the files where openstacksdk looks for them, but for one thing: only a clouds.yaml of the working
// directory has its secrets and profiles from there, and only from there. A directory that came from a stranger could
// otherwise change to whom the user's own clouds send his password, or have his secrets for a cloud of its own. A file
// that is named must be there.
func readConfigFiles(env func(string) string) (configFiles, error) {
	var files configFiles
	own := configDirs(env)
	clouds, path, err := files.read(env("OS_CLIENT_CONFIG_FILE"), "clouds", append([]string{"."}, own...))
	if err != nil {
		return files, err
	}
	dirs := own
	switch dir := filepath.Dir(path); {
	case path == "":
	case dir == ".":
		dirs = []string{dir}
	default:
		dirs = append([]string{dir}, own...)
	}
	secure, _, err := files.read(env("OS_CLIENT_SECURE_FILE"), "secure", dirs)
	if err != nil {
		return files, err
	}
	public, _, err := files.read("", "clouds-public", dirs)
	if err != nil {
		return files, err
	}
	files.path = path
	files.clouds, files.public = clouds.under(secure).field("clouds"), public.field("public_clouds")
	return files, nil
}

// Local tells whether the working directory has files that would say which cloud is meant. It may be a stranger's.
func Local(env func(string) string) bool {
	named := env("OS_CLIENT_CONFIG_FILE")
	for _, file := range []string{named, env("OS_CLIENT_SECURE_FILE")} {
		if file != "" && !filepath.IsAbs(file) {
			return true
		}
	}
	return named == "" && slices.ContainsFunc(configSuffixes, func(suffix string) bool {
		_, err := os.Lstat("clouds" + suffix)
		return !errors.Is(err, fs.ErrNotExist)
	})
}

var configSuffixes = []string{".yaml", ".yml", ".json"}

// configDirs are the user's and the host's directories of configuration, in the order in which openstacksdk looks.
func configDirs(env func(string) string) []string {
	var dirs []string
	if xdg := env("XDG_CONFIG_HOME"); xdg != "" {
		dirs = append(dirs, filepath.Join(xdg, "openstack"))
	}
	if home := env("HOME"); home != "" {
		dirs = append(dirs, filepath.Join(home, ".config", "openstack"))
	}
	return append(dirs, "/etc/xdg/openstack", "/etc/openstack")
}

// read reads the file that a variable names, or else the first one in the directories.
func (f *configFiles) read(named, name string, dirs []string) (value, string, error) {
	if named != "" {
		parsed, err := readYAML(named)
		if err != nil {
			err = &Error{Op: "use the file that OS_CLIENT_CONFIG_FILE or OS_CLIENT_SECURE_FILE names", Err: err}
		}
		return parsed, named, err
	}
	var paths []string
	for _, dir := range dirs {
		for _, suffix := range configSuffixes {
			paths = append(paths, filepath.Join(dir, name+suffix))
		}
	}
	return f.readFirst(paths)
}

// readFirst reads the first of the files that is there and may be read.
func (f *configFiles) readFirst(paths []string) (value, string, error) {
	for _, path := range paths {
		parsed, err := readYAML(path)
		var unreadable *fs.PathError
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case errors.As(err, &unreadable):
			f.skipped = append(f.skipped, unreadable)
		default:
			return parsed, path, err
		}
	}
	return value{}, "", nil
}

func readYAML(path string) (value, error) {
	content, err := transfer.ReadFile(path)
	if err != nil {
		return value{}, err
	}
	parsed, err := parseYAML(content)
	if err != nil {
		return value{}, &Error{Op: "read " + path, Err: err}
	}
	return parsed, nil
}

// parseYAML reads YAML or JSON. The first reading is for yaml's limit on aliases, which custom types escape.
func parseYAML(content []byte) (value, error) {
	var anything any
	if err := yaml.Unmarshal(content, &anything); err != nil {
		if strings.Contains(err.Error(), "unknown anchor") { // the error has the value, which may be a password
			return value{}, errors.New("a value begins with * and is no anchor: put it in quotes")
		}
		return value{}, err
	}
	var parsed value
	err := yaml.Unmarshal(content, &parsed)
	return parsed, err
}

// cloud returns the settings of one cloud, with its vendor's profile and its region in them.
func (f configFiles) cloud(name string, env func(string) string) (settings, error) {
	own := f.clouds.fields[name]
	profile, err := f.profile(own)
	if err != nil {
		return nil, err
	}
	regions := own
	if own.field("regions").empty() && own.field("region_name").empty() {
		regions = profile
	}
	region, err := chooseRegion(regions, env("OS_REGION_NAME"))
	if err != nil {
		return nil, err
	}
	all := profile.under(own).under(region)
	return func(setting string) value {
		for _, variable := range overrides[setting] {
			if given := env(variable); given != "" {
				return value{text: given}
			}
		}
		if found := all.field("auth").field(setting); !found.empty() {
			return found
		}
		return all.field(setting)
	}, nil
}

// overrides are the variables that count for a cloud of clouds.yaml as well, as with openstackclient.
var overrides = map[string][]string{"interface": {"OS_INTERFACE"}, "cacert": {"OS_CACERT"}, "cert": {"OS_CERT"}, "key": {"OS_KEY"}}

// unknown says that there is no such cloud, and which there are.
func (f configFiles) unknown(name string) error {
	failure := &Error{Op: fmt.Sprintf("use cloud %q", name), Err: fmt.Errorf("clouds file not found"), Setting: SettingCloud}
	failure.hint = "clouds.yaml is looked for in ., ~/.config/openstack and /etc/openstack, or where OS_CLIENT_CONFIG_FILE says"
	switch {
	case f.path != "":
		failure.Err = fmt.Errorf("cloud %q not found in clouds.yaml", name)
		failure.hint += "; " + f.path + " has " + listed(f.names())
	case len(f.skipped) > 0:
		failure.Err = fmt.Errorf("clouds file not found: %w", f.skipped[0])
	}
	return failure
}

// mention adds to an error the files that are there and could not be read, which openstacksdk passes over without a word:
// what is missing may be in one of them.
func (f configFiles) mention(err error) error {
	var failure *Error
	if !errors.As(err, &failure) {
		return err
	}
	told := *failure
	for _, one := range f.skipped {
		if strings.Contains(told.Error(), one.Path) {
			continue
		}
		if told.hint != "" {
			told.hint += "; "
		}
		told.hint += fmt.Sprintf("what is missing may be in %s, which could not be read: %v", one.Path, one.Err)
	}
	return &told
}

func (f configFiles) names() []string { return slices.Sorted(maps.Keys(f.clouds.fields)) }

func listed(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// profile returns what clouds-public.yaml says of the cloud's vendor. ndock brings no profiles of its own, so without
// that file the cloud must say itself where Keystone is.
func (f configFiles) profile(own value) (value, error) {
	name := own.field("profile").text
	if name == "" {
		name = own.field("cloud").text
	}
	profile, ok := f.public.fields[name]
	if name != "" && !ok && own.field("auth").field("auth_url").text == "" {
		return value{}, fmt.Errorf("no clouds-public.yaml has the profile %q, and the cloud has no auth_url", name)
	}
	return profile, nil
}

// chooseRegion returns the settings of the wanted region, or of the first one. A region that a cloud does not list is
// an error, as with openstacksdk: it is mostly left over from another cloud.
func chooseRegion(cloud value, wanted string) (value, error) {
	regions := listRegions(cloud)
	if len(regions) == 0 {
		return inRegion(wanted, value{}), nil
	}
	var names []string
	for _, region := range regions {
		name := region.text
		if region.fields != nil {
			name = region.field("name").text
		}
		if wanted == "" || wanted == name {
			return inRegion(name, region.field("values")), nil
		}
		names = append(names, name)
	}
	return value{}, fmt.Errorf("OS_REGION_NAME is %q, but the cloud's regions are %s", wanted, listed(names))
}

func listRegions(cloud value) []value {
	if regions := cloud.field("regions"); !regions.empty() {
		return regions.list
	}
	region := cloud.field("region_name")
	if region.list != nil || region.text == "" {
		return region.list
	}
	var regions []value
	for name := range strings.SplitSeq(region.text, ",") {
		regions = append(regions, value{text: name})
	}
	return regions
}

// inRegion returns a region's values, with its name.
func inRegion(name string, values value) value {
	return values.under(value{fields: map[string]value{"region_name": {text: name}}})
}

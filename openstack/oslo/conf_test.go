package oslo

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

const driver = "docker.DockerDriver"

func TestSet(t *testing.T) {
	tests := []struct{ name, before, after string }{
		{"where it stands, spacing kept", "[DEFAULT]\ncompute_driver=fake.SmallFakeDriver\nneutron_ovs_bridge=br-int\n[libvirt]\nvirt_type=kvm\n", "[DEFAULT]\ncompute_driver=docker.DockerDriver\nneutron_ovs_bridge=br-int\n[libvirt]\nvirt_type=kvm\n"},
		{"spaces and a colon", "[DEFAULT]\ncompute_driver  :\tlibvirt.LibvirtDriver  \n", "[DEFAULT]\ncompute_driver  :\tdocker.DockerDriver\n"},
		{"an empty value", "[DEFAULT]\ncompute_driver =\n", "[DEFAULT]\ncompute_driver = docker.DockerDriver\n"},
		{"an empty value without a space", "[DEFAULT]\ncompute_driver=\n", "[DEFAULT]\ncompute_driver=docker.DockerDriver\n"},
		{"behind the commented default", "[DEFAULT]\n# The driver.\n#compute_driver = <None>\n\n# More.\n#host = x\n", "[DEFAULT]\n# The driver.\n#compute_driver = <None>\ncompute_driver = docker.DockerDriver\n\n# More.\n#host = x\n"},
		{"not behind the default of another section", "[DEFAULT]\na = 1\n[x]\n#compute_driver = <None>\n", "[DEFAULT]\ncompute_driver = docker.DockerDriver\na = 1\n[x]\n#compute_driver = <None>\n"},
		{"at the head of its section", "# ours\n[DEFAULT]\nhost = a\n", "# ours\n[DEFAULT]\ncompute_driver = docker.DockerDriver\nhost = a\n"},
		{"a section for it", "[libvirt]\nvirt_type = kvm\n", "[libvirt]\nvirt_type = kvm\n\n[DEFAULT]\ncompute_driver = docker.DockerDriver\n"},
		{"an empty file", "", "[DEFAULT]\ncompute_driver = docker.DockerDriver\n"},
		{"no line end at the end", "[DEFAULT]", "[DEFAULT]\ncompute_driver = docker.DockerDriver"},
		{"no line end and no section", "[a]\nb = 1", "[a]\nb = 1\n\n[DEFAULT]\ncompute_driver = docker.DockerDriver"},
		{"line ends of Windows", "[DEFAULT]\r\nhost = a\r\n", "[DEFAULT]\r\ncompute_driver = docker.DockerDriver\r\nhost = a\r\n"},
		{"a value of several lines", "[DEFAULT]\ncompute_driver = a\n  b\n\tc\n\n# d\n", "[DEFAULT]\ncompute_driver = docker.DockerDriver\n\n# d\n"},
		{"in quotes", "[DEFAULT]\ncompute_driver = 'fake.FakeDriver'\n", "[DEFAULT]\ncompute_driver = docker.DockerDriver\n"},
		{"already so", "[DEFAULT]\ncompute_driver = \"docker.DockerDriver\" \n", "[DEFAULT]\ncompute_driver = \"docker.DockerDriver\" \n"},
		{"the same key elsewhere", "[other]\ncompute_driver = a\n[DEFAULT]\n", "[other]\ncompute_driver = a\n[DEFAULT]\ncompute_driver = docker.DockerDriver\n"},
		{"a section in two parts", "[DEFAULT]\na = 1\n[b]\nc = 2\n[DEFAULT]\ncompute_driver = x\n", "[DEFAULT]\na = 1\n[b]\nc = 2\n[DEFAULT]\ncompute_driver = docker.DockerDriver\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			conf := parse(t, test.before)
			if err := conf.Set("DEFAULT", "compute_driver", driver); err != nil {
				t.Fatal(err)
			}
			if got := string(conf.Bytes()); got != test.after {
				t.Errorf("got\n%q, want\n%q", got, test.after)
			}
		})
	}
}

func TestDuplicatesAreRefused(t *testing.T) {
	for _, text := range []string{
		"[DEFAULT]\ncompute_driver = a\n# b\ncompute_driver = b\n",
		"[DEFAULT]\ncompute_driver = a\n[DEFAULT]\ncompute_driver = b\n",
	} {
		err := parse(t, text).Set("DEFAULT", "compute_driver", driver)
		var duplicate *DuplicateError
		if !errors.As(err, &duplicate) {
			t.Fatalf("got %v, want a DuplicateError", err)
		}
		if want := "nova.conf sets compute_driver in [DEFAULT] more than once, in lines 2, 4"; err.Error() != want {
			t.Errorf("got %q, want %q", err, want)
		}
		if duplicate.Hint() == "" {
			t.Error("no hint")
		}
	}
}

func TestWhatOsloRefusesIsRefused(t *testing.T) {
	for text, want := range map[string]string{
		"[DEFAULT\n":           "nova.conf, line 1: a section without a name or its closing bracket",
		"[]\n":                 "nova.conf, line 1: a section without a name or its closing bracket",
		"[DEFAULT]\n\n  more":  "nova.conf, line 3: an indented line that continues nothing",
		"[DEFAULT]\nnonsense":  "nova.conf, line 2: neither a section nor a comment nor key = value",
		"[DEFAULT]\n= nothing": "nova.conf, line 2: neither a section nor a comment nor key = value",
	} {
		if _, err := Parse("nova.conf", []byte(text)); err == nil || err.Error() != want {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}

func TestGet(t *testing.T) {
	conf := parse(t, "[DEFAULT]\nhost = \"node 1\"\nlist = a\n  b\n[Neutron]\nurl=http://x:1\n")
	for _, test := range []struct {
		section, key, want string
		found              bool
	}{
		{"DEFAULT", "host", "node 1", true},
		{"DEFAULT", "list", "a\nb", true},
		{"neutron", "url", "http://x:1", true},
		{"DEFAULT", "url", "", false},
		{"default", "host", "", false}, // oslo.config tells these two apart
	} {
		got, found, err := conf.Get(test.section, test.key)
		if got != test.want || found != test.found || err != nil {
			t.Errorf("%s.%s: got %q, %v, %v", test.section, test.key, got, found, err)
		}
	}
}

func TestRemove(t *testing.T) {
	conf := parse(t, "[DEFAULT]\na = 1\ncompute_driver = x\n  y\n# end\n")
	if err := conf.Remove("DEFAULT", "compute_driver"); err != nil {
		t.Fatal(err)
	}
	if got, want := string(conf.Bytes()), "[DEFAULT]\na = 1\n# end\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestValuesAreReadBackAsTheyWereSet(t *testing.T) {
	for _, value := range []string{"", " a ", `"`, `"a"`, "'", "a = b", "# no comment", "[x]", "ä\t"} {
		conf := parse(t, "[DEFAULT]\n")
		if err := conf.Set("DEFAULT", "key", value); err != nil {
			t.Fatal(err)
		}
		if got, _, _ := parse(t, string(conf.Bytes())).Get("DEFAULT", "key"); got != value {
			t.Errorf("got %q, want %q", got, value)
		}
	}
}

func FuzzSet(f *testing.F) {
	f.Add("[DEFAULT]\r\n#compute_driver = x\r\n", "DEFAULT", "compute_driver", driver)
	f.Add("[a]\nb: 'c'\n d\n\n[DEFAULT]\n", "a", "b", "' ")
	f.Add("[A]\rb=\r\r[a]", "a", "c", "")
	f.Add("[DEFAULT]\na = 1", "x", "#", "y\nz")
	f.Fuzz(func(t *testing.T, text, section, key, value string) {
		conf, err := Parse("conf", []byte(text))
		if err != nil {
			return
		}
		if string(conf.Bytes()) != text {
			t.Fatalf("%q became %q by reading", text, conf.Bytes())
		}
		before := others(conf, section, key)
		if conf.Set(section, key, value) != nil {
			return
		}
		once := string(conf.Bytes())
		again := parse(t, once)
		if got, found, err := again.Get(section, key); got != value || !found || err != nil {
			t.Fatalf("%q: got %q, %v, %v", once, got, found, err)
		}
		after := others(again, section, key)
		if !slices.Equal(after, before) && !slices.Equal(after, append(before, "["+section+"]")) && !slices.Equal(after, append(before, "", "["+section+"]")) {
			t.Fatalf("other lines changed: %q, then %q", before, after)
		}
		if err := again.Set(section, key, value); err != nil || string(again.Bytes()) != once {
			t.Fatalf("the second time: %v, %q, then %q", err, once, again.Bytes())
		}
	})
}

// others returns the lines that do not belong to a key.
func others(c *Conf, section, key string) []string {
	var texts []string
	mine := false
	for _, l := range c.lines {
		if l.kind != continuation {
			mine = l.kind == assignment && l.name == key && sameSection(l.section, section)
		}
		if !mine {
			texts = append(texts, l.text)
		}
	}
	return texts
}

func parse(t *testing.T, text string) *Conf {
	t.Helper()
	conf, err := Parse("nova.conf", []byte(strings.Clone(text)))
	if err != nil {
		t.Fatal(err)
	}
	return conf
}

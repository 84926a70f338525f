package deploy

import (
	"bytes"
	"cmp"
	_ "embed" // the unit
	"fmt"
	"strings"
	"text/template"
)

//go:embed ndock-registry.service
var unitText string

var unitTemplate = template.Must(template.New("unit").Parse(unitText))

// unitSection is of the part of the unit that systemd leaves to others.
const unitSection = "[X-ndock]"

// unitFile is what differs from one unit to another.
type unitFile struct {
	Command      string
	StopTimeout  int    // seconds that its end may take
	Capabilities string // empty for none
	Listen       string
	URL          string
	TLS          string
	Data         string // where the images are
	Here         bool   // in a directory of this host
	Binary       string // digest
}

// unitFile returns what the unit of a planned registry says.
func (p plan) unitFile() unitFile {
	u := unitFile{
		Command:     quoted(p.program.name) + " registry serve " + strings.Join(p.command, " "),
		StopTimeout: p.stopTimeout,
		Listen:      p.listen, URL: p.url, TLS: p.tls, Data: p.data, Here: p.data != inGlance, Binary: p.program.digest,
	}
	if p.privileged() {
		u.Capabilities = "CAP_NET_BIND_SERVICE"
	}
	return u
}

func (u unitFile) text() ([]byte, error) {
	var text bytes.Buffer
	if err := unitTemplate.Execute(&text, u); err != nil {
		return nil, fmt.Errorf("write the unit: %w", err)
	}
	return text.Bytes(), nil
}

// quoted is a path as systemd's command lines have it.
func quoted(path string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "%", "%%").Replace(path) + `"`
}

// parseUnit returns what the unit says of the registry; ok is false for a unit that is not of ndock.
func parseUnit(text []byte) (u unitFile, ok bool) {
	_, ours, ok := strings.Cut(string(text), "\n"+unitSection+"\n")
	said := properties(ours)
	return unitFile{Listen: said["Listen"], URL: said["URL"], TLS: said["TLS"], Data: said["Data"], Binary: said["Binary"]}, ok
}

// unitData returns where the registry of a unit has its images.
func unitData(unit []byte) string {
	said, _ := parseUnit(unit)
	return cmp.Or(said.Data, onHost.data) // of an older ndock
}

// properties are lines of KEY=VALUE, as in units and in what systemctl shows.
func properties(text string) map[string]string {
	all := map[string]string{}
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			all[key] = value
		}
	}
	return all
}

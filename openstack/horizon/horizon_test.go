package horizon

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"

	"ndock/openstack"
)

// of returns the definitions of a namespace.
func of(t *testing.T, namespace string) openstack.Definitions {
	t.Helper()
	all, err := Definitions()
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range all {
		if one.Namespace == namespace {
			return one
		}
	}
	t.Fatalf("there is no %s", namespace)
	return openstack.Definitions{}
}

// TestDefinitionsOfFlavors holds the definitions to all extra specs that docs/servers.md has.
func TestDefinitionsOfFlavors(t *testing.T) {
	page, err := os.ReadFile("../../docs/servers.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "\n## What a flavor can limit\n")
	table, _, _ = strings.Cut(table, "\n## ")
	known, found := of(t, "NDOCK::Flavor").Properties, 0
	for _, match := range regexp.MustCompile("`((?:ndock|quota|hw|trait):[A-Za-z_]+)").FindAllStringSubmatch(table, -1) {
		name := match[1]
		if name == "ndock:ulimit_NAME" {
			name = "ndock:ulimit_nofile"
		}
		if name == "quota:vif_" { // is Neutron's
			continue
		}
		if found++; known[name] == nil {
			t.Errorf("%s is not defined", name)
		}
	}
	if found < 15 {
		t.Errorf("the page has %d extra specs", found)
	}
}

func TestDefinitionsOfImages(t *testing.T) {
	for _, name := range []string{"os_command_line", "os_shutdown_timeout", "hypervisor_type"} {
		if of(t, "NDOCK::Image").Properties[name] == nil {
			t.Errorf("%s is not defined", name)
		}
	}
}

// TestDefinitionsAreTyped checks what Glance refuses properties without, and that each default is a text, as Glance gives it back.
func TestDefinitionsAreTyped(t *testing.T) {
	all, err := Definitions()
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range all {
		for name, property := range one.Properties {
			if property["title"] == "" || property["description"] == "" || property["type"] != "integer" && property["type"] != "string" {
				t.Errorf("%s is %v", name, property)
			}
			if _, isText := property["default"].(string); property["default"] != nil && !isText {
				t.Errorf("the default of %s is no text", name)
			}
		}
	}
}

// TestHead: teardown knows the files by it.
func TestHead(t *testing.T) {
	if !bytes.HasPrefix(Module, []byte(Head)) || !bytes.HasPrefix(Settings, []byte(Head)) {
		t.Error("a file begins with another line")
	}
}

// Package horizon has what Horizon needs to know Docker servers: a customization module, the setting that names it, and metadata
// definitions, which Glance keeps.
package horizon

import (
	"embed"
	"encoding/json"
	"fmt"
	"path"

	"ndock/openstack"
)

// Head is the first line of each file that setup writes, in every release.
const Head = "# Written by 'ndock node setup --role controller', and removed by 'ndock node teardown --role controller'.\n"

// Module is the customization module openstack_dashboard.local.ndock.
//
//go:embed ndock.py
var Module []byte

// Settings is the snippet of Horizon's settings that names the module, unless another is named already.
//
//go:embed settings.py
var Settings []byte

//go:embed definitions/*.json
var definitions embed.FS

// Definitions returns the metadata definitions: a namespace for flavors and one for images.
func Definitions() ([]openstack.Definitions, error) {
	const dir = "definitions"
	entries, err := definitions.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read the metadata definitions in this binary: %w", err)
	}
	all := make([]openstack.Definitions, len(entries))
	for i, entry := range entries {
		content, err := definitions.ReadFile(path.Join(dir, entry.Name()))
		if err == nil {
			err = json.Unmarshal(content, &all[i])
		}
		if err != nil {
			return nil, fmt.Errorf("read %s in this binary: %w", entry.Name(), err)
		}
	}
	return all, nil
}

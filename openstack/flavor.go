package openstack

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"slices"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/flavors"
)

// Flavor is what a server may use.
type Flavor struct {
	ID    string
	Name  string
	VCPUs int
	RAM   int // in MiB
	Disk  int // in GiB
}

// Flavors lists those that the project may use.
func (c *Cloud) Flavors(ctx context.Context) ([]Flavor, error) {
	client, err := c.nova()
	if err != nil {
		return nil, err
	}
	found, err := listFlavors(ctx, client)
	if err != nil {
		return nil, explain("list flavors", err)
	}
	all := make([]Flavor, len(found))
	for i, f := range found {
		all[i] = Flavor{ID: f.ID, Name: f.Name, VCPUs: f.VCPUs, RAM: f.RAM, Disk: f.Disk}
	}
	return all, nil
}

func listFlavors(ctx context.Context, client *gophercloud.ServiceClient) ([]flavors.Flavor, error) {
	pages, err := flavors.ListDetail(client, flavors.ListOpts{}).AllPages(ctx)
	if err != nil {
		return nil, err
	}
	return flavors.ExtractFlavors(pages)
}

// flavor finds a flavor's id.
func (c *Cloud) flavor(ctx context.Context, nameOrID string) (string, error) {
	client, err := c.nova()
	if err != nil {
		return "", err
	}
	found, err := lookup[flavors.Flavor]{
		kind: "flavor",
		byID: func(ctx context.Context, id string) (flavors.Flavor, error) {
			found, err := flavors.Get(ctx, client, id).Extract()
			if err != nil {
				return flavors.Flavor{}, err
			}
			return *found, nil
		},
		byName: func(ctx context.Context, name string) ([]flavors.Flavor, error) {
			all, err := listFlavors(ctx, client)
			return slices.DeleteFunc(all, func(f flavors.Flavor) bool { return f.Name != name }), err
		},
		id:    func(f flavors.Flavor) string { return f.ID },
		names: namesIn(c.Flavors, func(f Flavor) string { return f.Name }),
	}.find(ctx, nameOrID)
	return found.ID, err
}

// Definitions is a namespace of Glance's metadata definitions: the properties of a flavor or an image that clients such as Horizon offer.
type Definitions struct {
	Namespace   string                    `json:"namespace"`
	DisplayName string                    `json:"display_name"`
	Description string                    `json:"description"`
	Visibility  string                    `json:"visibility"`
	Protected   bool                      `json:"protected"`
	Resources   []DefinedResource         `json:"resource_type_associations"`
	Properties  map[string]map[string]any `json:"properties"`
}

// Equal tells whether both are the same JSON. What was read from JSON has other types of numbers than what was not.
func (d Definitions) Equal(other Definitions) bool {
	one, err := json.Marshal(d)
	if err != nil {
		return false
	}
	two, err := json.Marshal(other)
	return err == nil && bytes.Equal(one, two)
}

// DefinedResource is what definitions are of, in Heat's words: OS::Nova::Flavor or OS::Glance::Image.
type DefinedResource struct {
	Name string `json:"name"`
}

func (c *Cloud) definitionsURL(more ...string) (*gophercloud.ServiceClient, string, error) {
	client, err := c.glance()
	if err != nil {
		return nil, "", err
	}
	return client, client.ServiceURL(append([]string{"metadefs", "namespaces"}, more...)...), nil
}

// Definitions returns the metadata definitions of a namespace; nil where there is none.
func (c *Cloud) Definitions(ctx context.Context, namespace string) (*Definitions, error) {
	client, url, err := c.definitionsURL(namespace)
	if err != nil {
		return nil, err
	}
	var found Definitions
	_, err = client.Get(ctx, url, &found, nil)
	if gophercloud.ResponseCodeIs(err, http.StatusNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, explain("look for the metadata definitions "+namespace, err)
	}
	return &found, nil
}

// AddDefinitions adds a namespace. Only administrators may.
func (c *Cloud) AddDefinitions(ctx context.Context, all Definitions) error {
	client, url, err := c.definitionsURL()
	if err != nil {
		return err
	}
	if _, err := client.Post(ctx, url, all, nil, &gophercloud.RequestOpts{OkCodes: []int{http.StatusCreated}}); err != nil {
		return explain("add the metadata definitions "+all.Namespace, err)
	}
	return nil
}

// RemoveDefinitions removes a namespace with all that is in it. Only administrators may.
func (c *Cloud) RemoveDefinitions(ctx context.Context, namespace string) error {
	client, url, err := c.definitionsURL(namespace)
	if err != nil {
		return err
	}
	if _, err := client.Delete(ctx, url, nil); err != nil {
		return explain("remove the metadata definitions "+namespace, err)
	}
	return nil
}

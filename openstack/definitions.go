package openstack

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"

	"github.com/gophercloud/gophercloud/v2"
)

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

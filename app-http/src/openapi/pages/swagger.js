// In a file of its own, so that a page needs no script inside it. Without `validatorUrl: null` the page would ask a service.
SwaggerUIBundle({ url: "/openapi.json", dom_id: "#swagger-ui", deepLinking: true, validatorUrl: null });

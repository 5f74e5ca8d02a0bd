// Puts Stripe's own card form into the payment page. The card goes from the payer's browser to
// Stripe; this page learns only whether it worked, and asks the server for the truth.

class SummitCardPayment extends HTMLElement {
  connectedCallback() {
    const button = this.querySelector("[data-pay]");
    const fault = this.querySelector("[data-fault]");
    if (!window.Stripe) {
      button.disabled = true;
      return;
    }
    const stripe = window.Stripe(this.getAttribute("key"));
    const elements = stripe.elements({
      clientSecret: this.getAttribute("secret"),
      locale: document.documentElement.lang === "zh-Hans" ? "zh" : "en",
    });
    elements.create("payment").mount(this.querySelector("[data-card]"));
    button.addEventListener("click", async () => {
      button.disabled = true;
      fault.textContent = "";
      const { error } = await stripe.confirmPayment({
        elements,
        confirmParams: { return_url: this.getAttribute("return") },
      });
      // Only a fault comes back here: otherwise Stripe leads to the return address.
      if (error) {
        fault.textContent = error.message;
        button.disabled = false;
      }
    });
  }
}

customElements.define("summit-card-payment", SummitCardPayment);

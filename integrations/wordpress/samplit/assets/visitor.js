/* Leaves the visitor that the snippet knows in a first-party cookie, which the checkout reads. */
(function () {
  "use strict";
  document.addEventListener("samplit:ready", function (event) {
    var visitor = event.detail && event.detail.visitor_id;
    var age = visitor ? 400 * 24 * 3600 : 0;
    document.cookie = "samplit_order_visitor=" + encodeURIComponent(visitor || "") + "; path=/; max-age=" + age +
      "; samesite=lax" + (location.protocol === "https:" ? "; secure" : "");
  });
})();

"""The script of a report: a switch and a slider, which set classes. Without it everything is shown."""

from typing import Final

SCRIPT: Final = """
"use strict";
(function () {
  var main = document.querySelector("main");
  var slider = document.getElementById("step");
  var told = document.getElementById("told");
  var printed = document.getElementById("printed");
  var views = Array.prototype.slice.call(document.querySelectorAll(".view"));
  var switches = Array.prototype.slice.call(document.querySelectorAll("input[name=view]"));
  function show() {
    var step = Number(slider.value);
    var view = views[0];
    main.className = "d" + step;
    views.forEach(function (one, at) {
      var on = switches[at].checked;
      one.classList.toggle("shown", on);
      if (on) { view = one; }
    });
    var says = JSON.parse(view.dataset.says)[step];
    slider.setAttribute("aria-valuetext", says);
    told.textContent = says;
    printed.textContent = "Printed: " + view.querySelector("h2").textContent + ", " + says;
  }
  document.documentElement.classList.add("js");
  slider.addEventListener("input", show);
  switches.forEach(function (one) { one.addEventListener("change", show); });
  show();
})();
"""
